"""What Prometheus is told: every number that `runtime.md` names, over all workers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from models import Role, database
from tests.faults.faulty import attempt
from tests.faults.served import free_port, serving
from tests.house import START, Entrance, Pkce, Wecom
from tests.security.conftest import NOBODY
from tests.security.serving import served as attacked

REFRESH = """
mutation($token: String!) { refreshSession(input: {refreshToken: $token}) {
  ... on RefreshedSession { tokens { refreshToken } } ... on LoginFailure { code }
} }
"""

Samples = dict[tuple[str, tuple[str, ...]], float]


async def scraped(port: int) -> Samples:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics")
        elsewhere = await client.get(f"http://127.0.0.1:{port}/other")
    assert elsewhere.status_code == 404
    for dressed in (answer, elsewhere):
        assert "server" not in dressed.headers
        assert dressed.headers["x-request-id"]
        assert dressed.headers["x-content-type-options"] == "nosniff"
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


@pytest.mark.parametrize("workers", [1, 2])
async def test_everything_is_counted(
    database_url: str, wecom: Wecom, workers: int
) -> None:
    port = free_port()
    async with serving(
        database_url,
        wecom,
        workers=workers,
        HEFU_METRICS_LISTEN=f"127.0.0.1:{port}",
    ) as served:
        house = served.house
        entrance = await house.entrance()
        assert (await house.client.get("/metrics")).status_code == 404
        before = await scraped(port)
        await asyncio.gather(*(attempt(entrance) for _ in range(10)))
        login = await entrance.log_in()
        await house.data(REFRESH, {"token": login["tokens"]["refreshToken"]})
        await house.data(REFRESH, {"token": "made-up"})
        await refused(entrance)
        after = await scraped(port)
        if workers > 1:
            await survives(served.workers()[0], port, after)

    def more(name: str, *labels: str) -> float:
        key = (name, labels)
        return after[key] - before.get(key, 0)

    assert more("hefu_logins_total", "SUCCESS") == 11
    assert more("hefu_logins_total", "INVALID_CODE") == 1
    assert more("hefu_login_seconds_count") == 12
    assert more("hefu_sessions_refreshed_total", "SUCCESS") == 1
    assert more("hefu_sessions_refreshed_total", "INVALID_REFRESH_TOKEN") == 1
    assert more("hefu_wecom_requests_total", "getuserinfo", "ok") == 11
    assert more("hefu_wecom_seconds_count", "getuserinfo") >= 11
    # Ten starts and logins, another two of each, and two refreshes.
    assert more("hefu_http_requests_total", "200") == 26
    assert more("hefu_http_seconds_count") == 26
    assert more("hefu_login_starts_total", "SUCCESS") == 12
    # Probes of readiness came before that, and are nobody's requests.
    assert before["hefu_http_requests_total", ("503",)] == 0
    size = 0 if database_url.startswith("sqlite") else 10 * workers
    assert after["hefu_db_pool_size", ()] == size
    assert after["hefu_password_queue", ()] == 0
    assert after["hefu_db_pool_in_use", ()] >= 0


async def test_probes_are_not_counted(database_url: str, wecom: Wecom) -> None:
    port = free_port()
    listen = f"127.0.0.1:{port}"
    async with serving(database_url, wecom, HEFU_METRICS_LISTEN=listen) as served:
        before = await scraped(port)
        for path in ("/health/live", "/health/ready", "/.well-known/jwks.json"):
            assert (await served.house.client.get(path)).status_code == 200
        after = await scraped(port)
    for key in (
        ("hefu_http_requests_total", ("200",)),
        ("hefu_http_seconds_count", ()),
    ):
        assert after[key] - before[key] == 1


async def test_a_bug_counts_whatever_its_status(
    database_url: str, wecom: Wecom
) -> None:
    """Of keys that cannot be read: a start's says 200, the keys' own door 500."""
    port = free_port()
    listen = f"127.0.0.1:{port}"
    async with serving(database_url, wecom) as whole:
        entrance = await whole.house.entrance()
        async with database.opened(database_url):
            await database.fetch(
                "UPDATE server_keys SET public_jwk = 'x', sealed = $1", b"x"
            )
    async with serving(
        database_url,
        wecom,
        key=str(whole.house.keys[Role.OWNER]),
        HEFU_METRICS_LISTEN=listen,
    ) as served:
        before = await scraped(port)
        assert before["hefu_bugs_total", ()] == 0
        assert before["hefu_login_starts_total", ("INTERNAL",)] == 0
        input = {"appId": entrance.app_id, "identitySource": entrance.identifier}
        started = await served.house.post(
            START, {"input": {**input, "codeChallenge": Pkce().challenge}}
        )
        keys = await served.house.client.get("/.well-known/jwks.json")
        after = await scraped(port)
    assert started.status_code == 200
    assert started.json()["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert keys.status_code == 500
    assert keys.json()["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert after["hefu_bugs_total", ()] == 2
    assert after["hefu_login_starts_total", ("INTERNAL",)] == 1


async def refused(entrance: Entrance) -> None:
    input = await entrance.prepared()
    await entrance.present(**{**input, "code": "made-up"})


async def survives(worker: int, port: int, before: Samples) -> None:
    """What a worker counted is not lost with it."""
    os.kill(worker, signal.SIGKILL)
    await asyncio.sleep(0.5)
    after = await scraped(port)
    key = ("hefu_logins_total", ("SUCCESS",))
    assert after[key] == before[key]


async def test_nothing_is_exposed_unless_asked_for(
    database_url: str, wecom: Wecom
) -> None:
    async with serving(database_url, wecom) as served:
        assert (await served.house.client.get("/metrics")).status_code == 404


def test_a_scraper_that_is_gone_leaves_lines_of_json(tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    listen = {"HEFU_METRICS_LISTEN": f"127.0.0.1:{port}", "HEFU_LOG_LEVEL": "debug"}
    with attacked(f"sqlite://{tmp_path / 'hefu.db'}", NOBODY, log, **listen) as server:
        for sent in (b"", b"GET /me", b"GET /metrics HTTP/1.1\r\n\r\n") * 10:
            reset(port, sent)
        assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 200
        server.stop()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    levels = {each["level"] for each in lines if each["logger"] == "hefu.exposition"}
    assert levels == {"debug"}


def reset(port: int, sent: bytes) -> None:
    with half_sent(port, sent) as connection:
        at_once = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)


def half_sent(port: int, half: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=6)
    connection.sendall(half)
    return connection


@pytest.mark.slow
def test_a_scraper_has_ten_seconds_in_all(tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    listen = {"HEFU_METRICS_LISTEN": f"127.0.0.1:{port}"}
    head = b"GET /metrics HTTP/1.1\r\n"
    with attacked(f"sqlite://{tmp_path / 'hefu.db'}", NOBODY, log, **listen) as server:
        began = time.monotonic()
        halves = (b"", b"GET /me", b"", head)
        drips = (b"", b"", b"G", b"X-A: b\r\n")
        connections = [half_sent(port, half) for half in halves]
        for _ in range(9):
            for connection, drip in zip(connections, drips, strict=True):
                connection.sendall(drip)
            time.sleep(1)
        for connection in connections:
            assert connection.recv(65536) == b""
            connection.close()
        assert 9 < time.monotonic() - began < 12
        # Nobody waits for those who have time left.
        with half_sent(port, head):
            began = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - began < 5
    for line in log.read_text().splitlines():
        assert json.loads(line)["level"] == "info"
