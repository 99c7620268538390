from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from operator import eq
from pathlib import Path

import httpx
import pytest

from hefu.parameters import MOST_BYTES
from hefu.server import LINGER_SECONDS
from hefu.uvicorn_protocol import MOST_BYTES_AROUND_BODY
from tests.hefu.running import SECONDS, Running, read_all

HEAD = b"POST /graphql HTTP/1.1\r\nHost: hefu\r\nContent-Type: application/json\r\n"
LIMIT = SECONDS + 1.5
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
HELLO = b'{"query":"{hello}"}'
MIB = 1024 * 1024

# Servers that wait, and stop: they want the machine to themselves.
pytestmark = pytest.mark.slow


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n" % len(data) + data + b"\r\n"


def _send(connection: socket.socket, *parts: bytes) -> None:
    """Each in a segment of its own."""
    for part in parts:
        connection.sendall(part)
        time.sleep(0.1)


def _is_answered(connection: socket.socket) -> bool:
    return bool(select.select([connection], [], [], 0)[0])


@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"P",
        b"\r\n",
        HEAD,
        HEAD + b"Content-Length: 30\r\n\r\n",
        HEAD + b'Content-Length: 30\r\n\r\n{"query":',
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    ],
)
def test_a_half_sent_request_is_closed_in_time(server: Running, half: bytes) -> None:
    began = time.monotonic()
    with server.connect() as connection:
        connection.sendall(half)
        answer = read_all(connection)
    assert SECONDS * 0.9 < time.monotonic() - began < LIMIT
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")


def test_bytes_that_drip_buy_no_time(server: Running) -> None:
    began = time.monotonic()
    with server.connect() as connection, suppress(OSError):
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
        while time.monotonic() - began < 10:
            connection.sendall(b" ")
            time.sleep(0.1)
    assert time.monotonic() - began < LIMIT


def test_a_second_request_has_its_own_time(server: Running) -> None:
    with httpx.Client(base_url=server.url) as client:
        for _ in range(3):
            assert client.get("/graphql?query={hello}").status_code == 200
            time.sleep(SECONDS * 0.6)


def test_answers_do_not_wait_for_the_clients_acknowledgement(server: Running) -> None:
    with httpx.Client(base_url=server.url) as client:
        times: list[float] = []
        for _ in range(100):
            began = time.monotonic()
            client.post("/graphql", json={"query": "{hello}"})
            times.append(time.monotonic() - began)
    assert min(times) < 0.03, "each waits the 40 ms of a delayed acknowledgement"


def test_an_answer_is_sent_whole(server: Running) -> None:
    """Head and body in one call: `Joined`; several on a connection each by itself."""
    asked = b"GET /graphql?query={hello} HTTP/1.1\r\nHost: hefu\r\n\r\n"
    with server.connect() as connection:
        for _ in range(20):
            connection.sendall(asked)
            head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert body.startswith(b'{"data":')
        connection.sendall(asked + asked)
        answers = b""
        while answers.count(b'{"data":') < 2:
            answers += connection.recv(65536)
    assert answers.count(b"HTTP/1.1 200 ") == 2


def test_an_answer_may_take_longer_than_a_request(server: Running) -> None:
    asked = {"query": f"{{slow(seconds: {SECONDS * 2})}}"}
    answer = httpx.post(f"{server.url}/graphql", json=asked, timeout=10)
    assert answer.json() == {"data": {"slow": "done"}}


@pytest.mark.parametrize(
    "conflict",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello",
        b"Content-Length: +5\r\n\r\nhello",
        b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Host: other\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_conflicting_lengths_are_refused_and_hung_up_on(
    server: Running, conflict: bytes
) -> None:
    smuggled = b"GET /health/ready HTTP/1.1\r\nHost: hefu\r\n\r\n"
    answer = server.exchange(HEAD + conflict + smuggled)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_transfer_coding_in_http_1_0_is_refused(server: Running) -> None:
    head = HEAD.replace(b"HTTP/1.1", b"HTTP/1.0")
    answer = server.exchange(head + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("given", "status", "told"),
    [
        (b'query={hello(name:"%ff%fe")}', 400, b"The query string is not UTF-8"),
        (b'query={hello(name:"%ed%a0%80")}', 400, b"The query string is not UTF-8"),
        (b'query={hello}&variables={"a":"%c3("}', 400, b"query string is not UTF-8"),
        (b"query={hello}&operationName=%ff", 400, b"The query string is not UTF-8"),
        (b"query={hello}&other=%80", 400, b"The query string is not UTF-8"),
        (b"query={hello}&%ff=", 400, b"The query string is not UTF-8"),
        (b'query={hello(name:"\xff")}', 400, b"BAD_REQUEST"),
        (b'query={hello}&variables={"a":"\\ud800"}', 400, b"variables is not JSON"),
        (b'query={hello(name:"%E5%B0%8F+%26")}', 200, "Hello 小 &".encode()),
        (b"query={hello}&variables=&operationName=&other", 200, b"Hello you"),
        (b"query={fails}&query={hello}", 200, b"Hello you"),
    ],
)
def test_a_query_string_is_utf_8(
    server: Running, given: bytes, status: int, told: bytes
) -> None:
    asked = b"GET /graphql?" + given + b" HTTP/1.1\r\nConnection: close\r\n\r\n"
    answer = server.exchange(asked)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert told in answer


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
def test_a_request_for_another_protocol_is_answered_in_this_one(
    server: Running, protocol: bytes, *, together: bool
) -> None:
    # As Java's client sends its first request, if it is not told to speak HTTP/1.1.
    body = b'{"query":"{hello}"}'
    head = (
        HEAD
        + b"Connection: Upgrade, HTTP2-Settings\r\nContent-Length: %d\r\n" % len(body)
        + b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
        + b"Upgrade: "
        + protocol
        + b"\r\n\r\n"
    )
    after = b"GET /health/ready HTTP/1.1\r\nHost: hefu\r\nConnection: close\r\n\r\n"
    with server.connect() as connection:
        if together:
            connection.sendall(head + body + after)
        else:
            connection.sendall(head)
            time.sleep(0.1)  # The body comes in a segment of its own.
            connection.sendall(body)
            connection.sendall(after)
        answer = read_all(connection)
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert b'{"data":{"hello":"Hello you"}}' in answer


def test_heads_are_bounded(server: Running) -> None:
    line = b"X-Padding: " + b"a" * 4000 + b"\r\n"
    within = (
        b"GET /health/ready HTTP/1.1\r\nConnection: close\r\n" + line * 15 + b"\r\n"
    )
    assert server.exchange(within).startswith(b"HTTP/1.1 200 ")
    past = b"GET /health/ready HTTP/1.1\r\nX-Padding: " + b"a" * 80_000
    assert server.exchange(past).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    ("before", "repeated"),
    [
        (_chunk(HELLO) + b"0\r\n", b"X-A: b\r\n"),
        (_chunk(HELLO) + b"0\r\nX-A: ", b"a"),
        (_chunk(HELLO) + b"0\r\n", b"a"),
        (b"1;", b"a"),
        (b"", b"1;" + b"a" * 57 + b"\r\n \r\n"),
    ],
)
def test_what_stands_around_a_body_is_bounded(
    server: Running, before: bytes, repeated: bytes
) -> None:
    past = repeated * (MOST_BYTES_AROUND_BODY // len(repeated) * 2)
    with server.connect() as connection:
        _send(connection, CHUNKED, before)
        # No more than is past the bound: what is left unread resets the connection.
        for at in range(0, len(past), 4096):
            if _is_answered(connection):
                break
            connection.sendall(past[at : at + 4096])
            time.sleep(0.001)
        assert read_all(connection).startswith(b"HTTP/1.1 413 ")


def test_trailers_without_an_end_take_no_memory(server: Running) -> None:
    grown = _memory(server)
    with server.connect() as connection, suppress(OSError):
        _send(connection, CHUNKED, _chunk(HELLO) + b"0\r\n")
        for _ in range(256):
            connection.sendall(b"X-A: b\r\n" * (MIB // 8))
    grown = _memory(server) - grown
    assert grown < 16 * MIB, f"{grown // MIB} MiB"


def test_a_body_may_come_in_chunks_of_a_byte(server: Running) -> None:
    body = b"".join(_chunk(b"%c" % each) for each in HELLO.ljust(MOST_BYTES))
    with server.connect() as connection:
        _send(connection, CHUNKED, body + b"0\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("together", [True, False])
def test_trailers_are_no_headers(server: Running, *, together: bool) -> None:
    trailers = b"Authorization: Bearer made-up\r\nX-A: b\r\n\r\n"
    parts = [CHUNKED + _chunk(HELLO) + b"0\r\n", trailers, CHUNKED, _chunk(HELLO)]
    with server.connect() as connection:
        _send(connection, *([b"".join(parts)] if together else parts))
        _send(connection, b"0\r\n" + trailers)
        answers = b""
        while answers.count(b'{"data":{"hello":"Hello you"}}') < 2:
            received = connection.recv(65536)
            assert received, answers
            answers += received


def test_what_is_answered_is_not_answered_again(server: Running) -> None:
    """A body that nobody wants has its time as well, and then only an end."""
    large = HEAD + b"Content-Length: 100000\r\n\r\n{"
    bodily = b"GET /health/ready HTTP/1.1\r\nHost: hefu\r\nContent-Length: 9\r\n\r\n"
    for sent, status in ((large, b"413"), (bodily, b"200")):
        answer = server.exchange(sent)
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert answer.count(b"HTTP/1.1 ") == 1


def test_the_servers_own_refusals_are_dressed_like_any_answer(server: Running) -> None:
    answer = server.exchange(b"nonsense\r\n\r\n").lower()
    assert b"x-request-id: " in answer
    assert b"x-content-type-options: nosniff" in answer
    assert b"\r\nserver: " not in answer
    assert b"\r\ndate: " not in answer


def test_a_stop_waits_for_answers_but_not_for_half_requests(server: Running) -> None:
    body = b'{"query":"{slow(seconds: 1.5)}"}'
    whole = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with server.connect() as answered, server.connect() as half:
        answered.sendall(whole)
        half.sendall(HEAD + b"Content-Length: 30\r\n\r\n{")
        time.sleep(0.2)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        # Told at once, not when its time is up.
        assert read_all(half).startswith(b"HTTP/1.1 503 ")
        assert b'{"data":{"slow":"done"}}' in read_all(answered)
    server.process.communicate(timeout=10)
    assert time.monotonic() - began < 5
    assert server.process.returncode == 0


@pytest.mark.parametrize("before", [1, 2])
@pytest.mark.parametrize(
    "half",
    [
        b"POST /gra",
        HEAD + b"Content-Length: 30\r\n\r\n{",
        CHUNKED + b"5\r\n{",
    ],
)
def test_a_stop_answers_what_stands_before_a_half_request(
    server: Running, before: int, half: bytes
) -> None:
    whole = _slow(0.5 + LINGER_SECONDS) * before
    with server.connect() as connection:
        _send(connection, whole, half)
        server.process.send_signal(signal.SIGTERM)
        answer = read_all(connection)
    assert answer.count(b"HTTP/1.1 ") == before
    assert answer.count(b'{"data":{"slow":"done"}}') == before
    server.process.communicate(timeout=10)
    assert server.process.returncode == 0


@pytest.mark.parametrize(
    "behind",
    [
        b"nonsense\r\n\r\n",
        HEAD + b"Content-Length: 30\r\n\r\n{",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 80_000,
        CHUNKED + b"ZZ",
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_a_refusal_is_no_answer_to_the_request_before(
    server: Running, behind: bytes, *, together: bool
) -> None:
    whole = _slow(SECONDS * 2)
    with server.connect() as connection:
        _send(connection, *([whole + behind] if together else [whole, behind]))
        # The parser is not asked again, whatever comes.
        connection.sendall(b"more")
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.endswith(b'{"data":{"slow":"done"}}')


def test_who_still_waits_when_the_stop_runs_out_of_time_is_told(
    server: Running,
) -> None:
    body = b'{"query":"{slow(seconds: 60)}"}'
    with server.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"UNAVAILABLE"' in answer
    assert b"x-request-id: " in answer
    server.process.communicate(timeout=20)
    assert server.process.returncode == 0


def test_what_cannot_be_interrupted_does_not_hold_up_the_stop(server: Running) -> None:
    body = b'{"query":"{stuck(seconds: 60)}"}'
    with server.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        server.process.communicate(timeout=30)
    assert server.process.returncode == 0


def test_readiness_goes_first(server: Running) -> None:
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert httpx.get(f"{server.url}/health/ready").status_code == 503


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_takes_no_more_connections(
    start: Callable[..., Running], workers: int
) -> None:
    server = start(workers=workers)
    with server.connect() as connection:
        connection.sendall(_slow(4))
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(LINGER_SECONDS + 1)
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        assert b'{"data":{"slow":"done"}}' in read_all(connection)


def test_nothing_secret_reaches_the_log(server: Running) -> None:
    query = '{fails hello(name: "hunter2 li.lei@example.com")}'
    httpx.post(f"{server.url}/graphql", json={"query": query})
    httpx.get(f"{server.url}/graphql", params={"query": "{fails hunter2 "})
    assert httpx.get(f"{server.url}/crash").status_code == 500
    logged = server.stop()
    assert "Unexpected error" in logged
    assert "RuntimeError" in logged
    assert "hunter2" not in logged
    assert "li.lei" not in logged


def test_several_workers_share_the_work_and_the_dead_are_replaced(
    start: Callable[..., Running],
) -> None:
    server = start(workers=2)
    worker = _children(server.process.pid)[0]
    os.kill(worker, signal.SIGKILL)
    deadline = time.monotonic() + 15
    while len(set(_children(server.process.pid)) - {worker}) < 2:
        assert time.monotonic() < deadline, "The dead worker was not replaced"
        time.sleep(0.1)
    assert httpx.get(f"{server.url}/graphql?query={{hello}}").status_code == 200
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 10
    assert server.process.returncode == 0


def test_connections_that_come_at_once_are_shared_out(
    start: Callable[..., Running],
) -> None:
    server = start(workers=2)
    workers = _all_taking(server)
    before = [_sockets(worker) for worker in workers]
    with ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(60)]
        for connection in connections:
            _ask(connection)
        taken = [_sockets(worker) for worker in workers]
    shares = [after - earlier for after, earlier in zip(taken, before, strict=True)]
    assert sum(shares) == 60
    assert min(shares) >= 15


def test_who_has_most_connections_takes_more_where_nobody_else_does(
    start: Callable[..., Running],
) -> None:
    server = start(workers=2)
    stopped = _all_taking(server)[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        with ExitStack() as stack:
            for _ in range(40):
                _ask(stack.enter_context(server.connect()))
    finally:
        os.kill(stopped, signal.SIGCONT)
    server.stop()
    assert server.process.returncode == 0


def _all_taking(server: Running) -> list[int]:
    """The workers, once each of them takes connections."""
    deadline = time.monotonic() + 30
    workers = _children(server.process.pid)
    before = [_sockets(worker) for worker in workers]
    with ExitStack() as stack:
        while any(map(eq, before, map(_sockets, workers))):
            assert time.monotonic() < deadline, "one of them takes none"
            _ask(stack.enter_context(server.connect()))
    time.sleep(0.3)  # It has noticed by then that these were closed.
    return workers


def _ask(connection: socket.socket) -> None:
    connection.sendall(b"GET /graphql?query={hello} HTTP/1.1\r\n\r\n")
    assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def _sockets(process: int) -> int:
    """How many a process has open."""
    found = 0
    for each in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):
            found += each.readlink().name.startswith("socket:")
    return found


def _slow(seconds: float) -> bytes:
    """A request that is answered so late."""
    body = b'{"query":"{slow(seconds: %.1f)}"}' % seconds
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _memory(server: Running) -> int:
    """Bytes, at the most until now."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def _children(process: int) -> list[int]:
    """Workers of a supervisor, without multiprocessing's own resource tracker."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in children if _is_worker(child)]


def _is_worker(process: str) -> bool:
    return b"spawn_main" in Path(f"/proc/{process}/cmdline").read_bytes()
