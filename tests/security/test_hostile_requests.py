"""GraphQL and HTTP at their worst, against `hefu serve` with its real schema."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from graphql import get_introspection_query

from tests.security.conftest import MEASURED, NOBODY, Row
from tests.security.requests import BODIES, BOUNDS, DOCUMENTS, ME, body, twice
from tests.security.serving import MIB, Beside, Served, read_all, served

GRAPHQL = "application/graphql-response+json"
TYPES = {"Content-Type": "application/json", "Accept": GRAPHQL}
LONGEST_ANSWER = 256 * 1024

pytestmark = pytest.mark.slow


class Attacker:
    """Sends requests one by one; what one does to the server is its own line."""

    def __init__(self, server: Served, client: httpx.Client, row: Row) -> None:
        self._server = server
        self._client = client
        self.row = row

    def send(self, name: str, content: bytes, **headers: str) -> httpx.Response:
        named = {key.replace("_", "-"): text for key, text in headers.items()}
        with self.watched(name):
            answer = self._client.post(
                f"{self._server.url}/graphql",
                content=content,
                headers={**TYPES, **named},
            )
        self.row.measure("answer", len(answer.content) / 1024, "KiB")
        if len(answer.content) > LONGEST_ANSWER:
            self.row.through.append((name, "answer", len(answer.content)))
        return answer

    def refused(self, name: str, content: bytes, **headers: str) -> None:
        """It must be a 4xx with a code, and take next to nothing."""
        answer = self.send(name, content, **headers)
        errors = answer.json().get("errors", [])
        codes = {error.get("extensions", {}).get("code") for error in errors}
        if not (400 <= answer.status_code < 500 and codes and len(errors) <= 10):
            self.row.through.append((name, answer.status_code, answer.text[:300]))
        if codes - {"BAD_REQUEST", "UNAUTHENTICATED", "FORBIDDEN"}:
            self.row.through.append((name, codes))

    @contextmanager
    def watched(self, name: str) -> Generator[None]:
        self._server.forget_memory()
        memory, cpu, began = self._server.memory(), self._server.cpu(), time.monotonic()
        yield
        seconds = time.monotonic() - began
        cpu = self._server.cpu() - cpu
        grown = (self._server.memory() - memory) / MIB
        self.row.tried += 1
        self.row.measure("CPU", cpu * 1000, "ms")
        self.row.measure("memory", grown, "MiB")
        if cpu > 0.5 or grown > 48 or (MEASURED and seconds > 0.5):
            self.row.through.append((name, cpu, seconds, grown))


@pytest.fixture
def attack(
    server: Served, row: Callable[[str], Row]
) -> Iterator[Callable[[str], Attacker]]:
    """An attacker by a row's title, with health probes all the while."""
    rows: list[Row] = []
    with httpx.Client(base_url=server.url, timeout=60) as client:

        def named(title: str) -> Attacker:
            rows.append(row(title))
            return Attacker(server, client, rows[-1])

        with Beside(server.url) as beside:
            yield named
    for each in rows:
        each.measure("probe", beside.slowest * 1000, "ms")
        if MEASURED and beside.slowest > 0.25:
            each.through.append(("probe", beside.slowest))


def test_each_bound_holds_on_both_sides(
    attack: Callable[[str], Attacker], server: Served
) -> None:
    attacker = attack("GraphQL: each bound, at it and one past it")
    row = attacker.row
    for name, (at, past) in BOUNDS.items():
        answer = attacker.send(name, body(at))
        if answer.status_code != 200 or "errors" in answer.json():
            row.through.append((name, "at the bound", answer.text[:200]))
        attacker.refused(name, body(past))
        attacker.refused(name, body(past), Accept="application/json")
    padded = body(ME).ljust(64 * 1024)
    assert attacker.send("body", padded).status_code == 200
    attacker.refused("body", padded + b" ")
    for query in twice():
        attacker.refused("two logins", body(query))


@pytest.mark.parametrize("who", ["nobody", "owner"])
def test_no_document_is_too_much(
    attack: Callable[[str], Attacker], server: Served, who: str
) -> None:
    attacker = attack("GraphQL: documents meant to freeze, fill or crash")
    row = attacker.row
    headers = {"Authorization": f"Bearer {server.key}"} if who == "owner" else {}
    for name, query in DOCUMENTS.items():
        answer = attacker.send(name, body(query), **headers)
        fine = who == "owner" and name.startswith("introspection")
        # A page out of bounds is told by the field, and by nobody's role before that.
        ran = answer.status_code == 200 and "errors" in answer.json()
        if not (400 <= answer.status_code < 500 or fine or ran):
            row.through.append((name, answer.status_code, answer.text[:300]))
        if answer.status_code >= 500 or "INTERNAL" in answer.text:
            row.through.append((name, answer.text[:300]))
        assert "hunter2" not in answer.text


def test_no_body_is_too_much(attack: Callable[[str], Attacker], server: Served) -> None:
    attacker = attack("HTTP: bodies that are no request")
    for name, content in BODIES.items():
        attacker.refused(name, content)
        attacker.refused(name, content, Authorization=f"Bearer {server.key}")


def test_compressed_and_mislabelled_bodies_are_refused(
    attack: Callable[[str], Attacker], server: Served
) -> None:
    attacker = attack("HTTP: compressed bodies and other content types")
    bomb = gzip.compress(b" " * 50_000_000)
    for encoding in ("gzip", "deflate", "br", "zstd", "identity, gzip", "GZIP", "x"):
        attacker.refused(encoding, bomb[: 60 * 1024], Content_Encoding=encoding)
    for kind in (
        "",
        "text/plain",
        "text/plain;x=application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        "application/json; charset=utf-16",
        "application/jsonp",
        "xapplication/json",
        "application/json, text/plain",
        "application/json-seq",
    ):
        attacker.refused(kind, body(ME), Content_Type=kind)
    for accept in ("text/html", "image/png", "application/xml;q=0.9", "*/*;q=0"):
        attacker.refused(accept, body(ME), Accept=accept)
    for accept in (
        "multipart/mixed;deferSpec=20220824, application/json",
        f"{GRAPHQL}, application/json;q=0.9",
        "*/*",
        "",
    ):
        answer = attacker.send(accept, body(ME), Accept=accept)
        assert answer.status_code == 200, (accept, answer.text)


def test_any_bytes_are_a_4xx(attack: Callable[[str], Attacker], server: Served) -> None:
    attacker = attack("HTTP: random and mutated bodies")
    row = attacker.row
    valid = body(
        "mutation($i:SignInWithPasswordInput!){signInWithPassword(input:$i){__typename}}",
        variables={"i": {"appId": "x", "account": "y", "password": "z"}},
    )
    for _ in range(300):
        noise = os.urandom(64)
        at = noise[0] % len(valid)
        for content in (noise, valid[:at] + noise[:3] + valid[at + 3 :], valid[:at]):
            answer = attacker.send("noise", content)
            if answer.status_code >= 500 or "INTERNAL" in answer.text:
                row.through.append((content, answer.text[:200]))


def test_half_sent_requests_hold_up_nobody_and_no_stop(
    sqlite_template: Path, tmp_path: Path, row: Callable[[str], Row]
) -> None:
    line = row("HTTP: half-sent requests, at once, closed within 10 s")
    head = b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    halves = [b"", b"P", head, head + b"Content-Length: 30\r\n\r\n", b"\r\n"]
    halves.append(head + b'Content-Length: 30\r\n\r\n{"query":')
    halves.append(head + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{")
    url = f"sqlite://{tmp_path / 'hefu.db'}"
    with served(url, NOBODY, tmp_path / "log") as server:
        began = time.monotonic()
        connections = [server.connect() for _ in range(210)]
        for number, connection in enumerate(connections):
            connection.sendall(halves[number % len(halves)])
        with Beside(server.url) as beside:
            for connection in connections:
                connection.settimeout(15)
                answer = read_all(connection)
                line.tried += 1
                if answer and not answer.startswith(b"HTTP/1.1 4"):
                    line.through.append(answer[:100])
                connection.close()
        line.measure("closed after", time.monotonic() - began, "s")
        line.measure("probe", beside.slowest * 1000, "ms")
        if MEASURED and beside.slowest > 0.25:
            line.through.append(("probe", beside.slowest))
        again = [server.connect() for _ in range(20)]
        for connection in again:
            connection.sendall(head + b"Content-Length: 30\r\n\r\n{")
        time.sleep(0.3)
        began = time.monotonic()
        assert server.stop() == 0
        line.measure("stopped after", time.monotonic() - began, "s")
        for connection in again:
            connection.close()


SMUGGLED = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
CONFLICTS = (
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"Content-Length: 5, 5\r\n\r\nhello",
    b"Content-Length: -5\r\n\r\nhello",
    b"Content-Length: +5\r\n\r\nhello",
    b"Content-Length: 0x5\r\n\r\nhello",
    b"Content-Length: 5 5\r\n\r\nhello",
    b"Content-Length: 99999999999999999999999\r\n\r\nhello",
    b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello",
    b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
    b"X: a\nContent-Length: 5\r\n\r\nhello",
    b"X: \0\r\nContent-Length: 5\r\n\r\nhello",
    b" folded: x\r\nContent-Length: 5\r\n\r\nhello",
)


def test_no_request_is_smuggled(server: Served, row: Callable[[str], Row]) -> None:
    line = row(
        "HTTP: conflicting lengths and broken heads, with a second request behind"
    )
    head = b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    for conflict in CONFLICTS:
        line.tried += 1
        answer = server.exchange(head + conflict + SMUGGLED)
        if b'"live"' in answer or b"HTTP/1.1 5" in answer or not answer:
            line.through.append((conflict, answer[:200]))
    for junk in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"G\0T / HTTP/1.1\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET " + b"/a" * 50_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\n\r\n",
        b"TRACE /graphql HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET http://169.254.169.254/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n",
    ):
        line.tried += 1
        answer = server.exchange(junk)
        if b"HTTP/1.1 5" in answer or b"HTTP/1.1 101" in answer:
            line.through.append((junk[:50], answer[:200]))


@pytest.fixture
def client(server: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url) as client:
        yield client


def test_hosts_and_origins_decide_nothing(
    client: httpx.Client, row: Callable[[str], Row]
) -> None:
    line = row("HTTP: Host headers and origins")
    for host in ("evil.example", "evil.example:1@hefu", "[::1]:99999", "a" * 300, ""):
        for path in ("/graphql/", "//graphql", "/graphql", "/.well-known/jwks.json"):
            line.tried += 1
            answer = client.get(
                path,
                headers={"Host": host, "X-Forwarded-Host": host, "Forwarded": host},
            )
            told = answer.text + str(answer.headers.multi_items())
            if answer.is_redirect or (host and host in told) or answer.is_server_error:
                line.through.append((host, path, answer.status_code, told[:200]))
    metadata = "/.well-known/oauth-authorization-server"
    answer = client.get(metadata, headers={"Host": "evil.example"})
    assert answer.json()["issuer"] == "http://localhost:8000"
    for origin in (
        "null",
        "https://admin.example.evil",
        "https://evil.admin.example",
        "http://admin.example",
        "https://admin.example:444",
        "HTTPS://ADMIN.EXAMPLE",
        "https://admin.example/",
        "*",
    ):
        for method in ("POST", "OPTIONS"):
            line.tried += 1
            answer = client.request(
                method,
                "/graphql",
                content=body(ME),
                headers={
                    **TYPES,
                    "Origin": origin,
                    "Access-Control-Request-Method": "POST",
                },
            )
            allowed = [
                key for key in answer.headers if key.startswith("access-control")
            ]
            if allowed:
                line.through.append((origin, method, allowed))
    right = client.post(
        "/graphql",
        content=body(ME),
        headers={**TYPES, "Origin": "https://admin.example"},
    )
    assert right.headers["access-control-allow-origin"] == "https://admin.example"
    assert "access-control-allow-credentials" not in right.headers
    assert right.headers["access-control-expose-headers"] == "X-Request-Id"


def test_every_answer_is_dressed(
    client: httpx.Client, row: Callable[[str], Row]
) -> None:
    line = row("HTTP: security headers on every kind of answer")
    answers = [
        client.get("/health/live"),
        client.get("/health/ready"),
        client.get("/nowhere"),
        client.get("/graphql"),
        client.put("/graphql"),
        client.post("/graphql", content=b"{"),
        client.post("/graphql", content=body(ME), headers=TYPES),
        client.get("/graphql", params={"query": ME}),
        client.options("/graphql"),
        client.get("/.well-known/jwks.json"),
        client.get("/.well-known/oauth-authorization-server"),
    ]
    for answer in answers:
        line.tried += 1
        dressed = (
            len(answer.headers.get("x-request-id", "")) == 32
            and answer.headers.get("x-content-type-options") == "nosniff"
            and "default-src 'none'"
            in answer.headers.get("content-security-policy", "")
            and "server" not in answer.headers
        )
        graphql = answer.request.url.path == "/graphql"
        if graphql and answer.request.method != "OPTIONS":
            dressed &= answer.headers.get("cache-control") == "no-store"
        if not dressed:
            line.through.append((str(answer.request.url), dict(answer.headers)))


def test_get_is_as_strict(attack: Callable[[str], Attacker], server: Served) -> None:
    attacker = attack("HTTP: queries by GET")
    row = attacker.row
    key = f"Bearer {server.key}"
    for name, parameters in {
        "a mutation": {"query": 'mutation{createApp(input:{name:"x"}){app{id}}}'},
        "variables that are none": {"query": ME, "variables": "{"},
        "variables in a list": {"query": ME, "variables": "[]"},
        "no query": {},
        "two operations": {"query": "query A{me{id}} mutation B{__typename}"},
        "the mutation of two": {
            "query": "query A{me{id}} mutation B{__typename}",
            "operationName": "B",
        },
        "ladder": {"query": DOCUMENTS["ladder of fragments, 804 bytes"]},
    }.items():
        with attacker.watched(name):
            answer = httpx.get(
                f"{server.url}/graphql",
                params=parameters,
                headers={"Accept": GRAPHQL, "Authorization": key},
            )
        if not 400 <= answer.status_code < 500:
            row.through.append((name, answer.status_code, answer.text[:200]))
    raw = (
        b"GET /graphql?query=%ff%fe%7bme%7bid%7d%7d HTTP/1.1",
        b"GET /graphql?query={me{id}}&variables=%22\\ud800%22 HTTP/1.1",
        b"GET /graphql?query=%00 HTTP/1.1",
        b"GET /graphql?query=&query=%7bme%7bid%7d%7d HTTP/1.1",
        b"GET /graphql?" + b"&".join(b"a=b" for _ in range(15_000)) + b" HTTP/1.1",
        b"GET /graphql?query=%7bme%7bid%7d%7d&variables=" + b"[" * 9000 + b" HTTP/1.1",
    )
    for line in raw:
        with attacker.watched("raw"):
            got = server.exchange(
                line
                + b"\r\nHost: x\r\nAccept: "
                + GRAPHQL.encode()
                + b"\r\nConnection: close\r\n\r\n"
            )
        if not (got.startswith(b"HTTP/1.1 4") or b'{"data":{"me":null}}' in got):
            row.through.append((line[:60], got[:200]))


def test_introspection_is_bounded_for_those_who_may(
    attack: Callable[[str], Attacker], server: Served
) -> None:
    attacker = attack("GraphQL: introspection, multiplied, by an owner")
    key = f"Bearer {server.key}"
    usual = attacker.send("usual", body(get_introspection_query()), Authorization=key)
    assert usual.status_code == 200
    assert "errors" not in usual.json()
    fields = "fields{name description args{name description type{name}}}"
    types = f"types{{name description {fields}}}"
    for name, query in {
        "types, 30 times": (
            "{__schema{" + " ".join(f"t{n}:{types}" for n in range(30)) + "}}"
        ),
        "schemas, twice": f"{{a:__schema{{{types}}} b:__schema{{{types}}}}}",
        "schemas, by a fragment": (
            "{a:__schema{...S} ...F} fragment F on Query{b:__schema{...S}}"
            f"fragment S on __Schema{{{types}}}"
        ),
        "descriptions, 30 times": (
            "{__schema{types{fields{"
            + " ".join(f"d{n}:description" for n in range(30))
            + "}}}}"
        ),
        "descriptions, by a fragment": (
            "{__schema{types{fields{...F}}}} fragment F on __Field{"
            + " ".join(f"d{n}:description" for n in range(30))
            + "}"
        ),
        "fields of fields": (
            "{__schema{types{fields{type{fields{type{fields{type{name}}}}}}}}}"
        ),
        "possible types of possible types": (
            "{__schema{types{possibleTypes{interfaces{possibleTypes{interfaces"
            "{possibleTypes{name}}}}}}}}"
        ),
        "types by name": (
            "{"
            + " ".join(f't{n}:__type(name:"Mutation"){{{fields}}}' for n in range(20))
            + "}"
        ),
    }.items():
        attacker.refused(name, body(query), Authorization=key)
    # As far as nesting goes.
    for query in (
        "{__schema{types{fields{type{fields{name description}}}}}}",
        "{__schema{types{fields{type{interfaces{fields{name description}}}}}}}",
        "{__schema{types{possibleTypes{fields{name description}}}}}",
        "{__schema{types{fields{args{type{inputFields{name description}}}}}}}",
    ):
        attacker.send(query, body(query), Authorization=key)


def test_nothing_of_it_is_in_the_log(server: Served, row: Callable[[str], Row]) -> None:
    line = row("Log: what the attacks above left in it")
    logged = server.log.read_text()
    line.tried += len(logged.splitlines())
    for written in logged.splitlines():
        told = json.loads(written)
        if told["level"] == "error" or "hunter2" in written:
            line.through.append(written[:300])
