"""OpenTelemetry: a span each for a request, a call to WeCom and a statement."""

from __future__ import annotations

import asyncio
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from models import Role, database
from tests.faults.served import ROOT, Served, environ, serving
from tests.hefu.collector import Collector, Span, collecting
from tests.house import START, Clock, House, Pkce, Wecom, open_house, settings
from wecom.sandbox import examples

SERVER, CLIENT = 2, 3
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
CALLER = f"00-{TRACE}-{PARENT}-01"
LAST = "GET /.well-known/oauth-authorization-server"
REFRESH = """
mutation Canary99Operation($token: String!) {
  canary99alias: refreshSession(input: {refreshToken: $token}) {
    ... on RefreshedSession { tokens { accessToken refreshToken } }
    ... on LoginFailure { code }
  }
}
"""

Traced = Callable[..., AbstractAsyncContextManager[House]]


@pytest.fixture
def collector() -> Generator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
def traced(
    database_url: str,
    wecom: Wecom,
    clock: Clock,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
) -> Traced:
    """A house whose spans have all come once it is closed."""

    @asynccontextmanager
    async def opened(**more: str) -> AsyncGenerator[House]:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        given = settings(database_url, wecom.url, HEFU_TRACES="on", **more)
        async with open_house(given, wecom, clock) as house:
            yield house
            # Spans are sent in their order: with this one all before it are there.
            await house.client.get("/.well-known/oauth-authorization-server")
            await until(lambda: any(each.name == LAST for each in collector.spans))

    return opened


async def until(come: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not come():  # noqa: ASYNC110  What comes wakes nobody.
            await asyncio.sleep(0.05)


def named(spans: Iterable[Span], name: str) -> list[Span]:
    return [each for each in spans if each.name == name]


def logins(spans: Iterable[Span]) -> list[Span]:
    wanted = ["wecomMobileLogin"]
    return [each for each in spans if each.attributes.get("hefu.root_fields") == wanted]


async def test_a_login_is_one_trace(
    traced: Traced, collector: Collector, database_url: str
) -> None:
    async with traced() as house:
        entrance = await house.entrance()
        answer = await entrance.log_in()
        assert answer["__typename"] == "LoginSuccess"
    [login] = logins(collector.spans)
    assert (login.name, login.kind, login.parent) == ("POST /graphql", SERVER, "")
    assert login.attributes["http.request.method"] == "POST"
    assert login.attributes["http.route"] == "/graphql"
    assert login.attributes["http.response.status_code"] == 200
    assert login.attributes["graphql.operation.type"] == "mutation"
    assert len(login.attributes["hefu.request_id"]) == 32
    within = [each for each in collector.spans if each.parent == login.id]
    assert {each.trace for each in within} == {login.trace}
    assert {each.kind for each in within} == {CLIENT}
    assert not any(each.failed for each in within)
    asked = [each for each in within if "url.template" in each.attributes]
    assert [each.name for each in asked] == [
        "GET /cgi-bin/gettoken",
        "GET /cgi-bin/user/getuserinfo",
        "GET /cgi-bin/user/get",
    ]
    assert {each.attributes["server.address"] for each in asked} == {"127.0.0.1"}
    statements = [each for each in within if each not in asked]
    system = "sqlite" if database_url.startswith("sqlite") else "postgresql"
    assert {each.attributes["db.system.name"] for each in statements} == {system}
    assert any("sessions" in each.name for each in statements)


async def test_a_transaction_is_told_of_to_its_end(
    traced: Traced, collector: Collector
) -> None:
    create = 'mutation { createApp(input: {name: "Shop"}) { errors { code } } }'
    async with traced() as house:
        await house.data(create, token=await house.key(Role.OWNER))
    [request] = [
        each
        for each in collector.spans
        if each.attributes.get("hefu.root_fields") == ["createApp"]
    ]
    within = {each.name for each in collector.spans if each.parent == request.id}
    assert {"INSERT apps", "COMMIT"} <= within


async def test_a_statement_is_told_of_once(
    traced: Traced, collector: Collector
) -> None:
    async with traced() as house:
        await house.data(
            "{ identitySources { nodes { id } } }", token=await house.key()
        )
    [asked] = [
        each
        for each in collector.spans
        if each.attributes.get("hefu.root_fields") == ["identitySources"]
    ]
    within = [each.name for each in collector.spans if each.parent == asked.id]
    assert within.count("SELECT identity_sources") == 1


async def test_nothing_of_the_callers_is_told(
    traced: Traced, collector: Collector
) -> None:
    """Nor anything that is a secret, or a person's."""
    async with traced() as house:
        entrance = await house.entrance()
        prepared = await entrance.prepared()
        foreign = {"traceparent": CALLER, "baggage": "canary99=canary99"}
        login = await entrance.present(**prepared, headers=foreign)
        tokens = login["tokens"]
        headers = {"user-agent": "canary99", "x-canary99": "canary99"}
        await house.answer(REFRESH, {"token": tokens["refreshToken"]}, **headers)
        await house.client.get("/graphql", params={"query": "{ canary99: __typename }"})
        await house.client.get("/canary99?canary99")
        await house.client.request("PROPFIND", "/graphql")
        canaries = [
            *prepared.values(),
            tokens["accessToken"],
            tokens["refreshToken"],
            *house.keys.values(),
            examples.AGENT.secret,
            "zhangsan",
            "canary99",
            "Canary99",
            "PROPFIND",
        ]
    assert len(logins(collector.spans)) == 1
    assert TRACE not in {each.trace for each in collector.spans}
    [unknown] = named(collector.spans, "GET")
    assert unknown.attributes["http.response.status_code"] == 404
    [other] = named(collector.spans, "HTTP /graphql")
    assert other.attributes["http.request.method"] == "_OTHER"
    # Of no statement the text: ids are random bytes, so not looked for in all of it.
    told = [
        str(value) for each in collector.spans for value in each.attributes.values()
    ]
    assert not [each for each in told if "$1" in each or "?1" in each]
    for canary in canaries:
        assert canary.encode() not in collector.raw, canary


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_proxy_of_ours_may_name_the_trace(
    traced: Traced, collector: Collector
) -> None:
    async with traced(HEFU_TRUSTED_PROXIES="203.0.113.7") as house:
        sampled, not_sampled = (
            {"traceparent": CALLER},
            {"traceparent": CALLER[:-1] + "0"},
        )
        await house.client.get("/health/live", headers=sampled)
        await house.client.get("/.well-known/jwks.json", headers=not_sampled)
    [live] = [each for each in collector.spans if each.trace == TRACE]
    assert (live.name, live.parent) == ("GET /health/live", PARENT)
    assert not named(collector.spans, "GET /.well-known/jwks.json")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_bug_that_is_answered_with_200_says_so(
    traced: Traced, collector: Collector
) -> None:
    async with traced() as house:
        entrance = await house.entrance()
        await database.fetch("UPDATE server_keys SET public_jwk = 'canary99'")
        house.clock.advance(hours=1)
        answer = await house.post(
            START,
            {
                "input": {
                    "appId": entrance.app_id,
                    "identitySource": entrance.identifier,
                    "codeChallenge": Pkce().challenge,
                }
            },
        )
        assert (answer.status_code, "INTERNAL" in answer.text) == (200, True)
    [failed] = [each for each in collector.spans if each.failed]
    assert failed.attributes["hefu.root_fields"] == ["startWecomMobileLogin"]
    assert failed.attributes["error.type"] == "INTERNAL"
    assert b"canary99" not in collector.raw


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_fails_says_so(
    traced: Traced, collector: Collector, wecom: Wecom
) -> None:
    async with traced() as house:
        entrance = await house.entrance()
        wecom.fault("status", status=500)
        await entrance.log_in()
    failed = [each for each in collector.spans if each.failed]
    assert [each.name for each in failed] == ["GET /cgi-bin/user/getuserinfo"]
    assert failed[0].attributes["error.type"] == "bad_status"


async def test_an_outage_is_told_by_its_code_alone(
    traced: Traced, collector: Collector, database_url: str
) -> None:
    async with traced():
        with pytest.raises(Exception, match="canary99"):
            await database.fetch("SELECT canary99 FROM users")
    [failed] = [each for each in collector.spans if each.failed]
    assert failed.name == "SELECT users"
    code = "1" if database_url.startswith("sqlite") else "42703"
    assert failed.attributes["db.response.status_code"] == code
    assert b"canary99" not in collector.raw


SENT: dict[str, Any] = {"HEFU_TRACES": "on", "OTEL_BSP_SCHEDULE_DELAY": "50"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_every_worker_sends_its_own(
    database_url: str, wecom: Wecom, collector: Collector
) -> None:
    given: dict[str, Any] = {
        **SENT,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=ours",
        "OTEL_SERVICE_NAME": "logins",
    }
    async with serving(database_url, wecom, workers=2, **given) as served:
        # The kernel gives a new connection to whichever worker takes it first.
        async with asyncio.timeout(120):
            while len(instances(collector)) < 2:
                await asyncio.gather(*(_probe(served) for _ in range(20)))
    assert {each.resource["service.name"] for each in collector.spans} == {"logins"}
    assert all(each["x-tenant"] == "ours" for each in collector.headers)


def instances(collector: Collector) -> set[str]:
    return {each.resource["service.instance.id"] for each in collector.spans}


async def _probe(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"GET /health/live HTTP/1.0\r\nHost: hefu\r\n\r\n")
    await reader.read()
    writer.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_stop_sends_what_is_left(
    database_url: str, wecom: Wecom, collector: Collector
) -> None:
    given: dict[str, Any] = {
        **SENT,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "3600000",
    }
    async with serving(database_url, wecom, workers=1, **given) as served:
        await served.house.client.get("/health/live")
        assert not collector.bodies
        served.signal(signal.SIGTERM)
        assert await served.ended() == 0
    assert named(collector.spans, "GET /health/live")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_collector_that_says_nothing_holds_up_nobody(
    database_url: str, wecom: Wecom
) -> None:
    """Neither logins nor a stop."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        given: dict[str, Any] = {**SENT, "OTEL_EXPORTER_OTLP_ENDPOINT": url}
        # Longer than anybody waits: only its own bound ends the stop.
        given["OTEL_EXPORTER_OTLP_TIMEOUT"] = "300"
        async with serving(database_url, wecom, workers=1, **given) as served:
            entrance = await served.house.entrance()
            assert (await entrance.log_in())["__typename"] == "LoginSuccess"
            served.signal(signal.SIGTERM)
            assert await served.ended() == 0


OFF = """
import sys
from hefu.app import create_app
create_app()
found = [name for name in sys.modules if name.startswith("opentelemetry")]
sys.exit(", ".join(found) or 0)
"""
# As where the extra was not installed.
WITHOUT = """
import sys
sys.modules["opentelemetry"] = None
from hefu.cli import main
sys.exit(main(["serve"]))
"""


def run(program: str, **given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        [sys.executable, "-c", program],
        env=environ("sqlite://unused.db", "http://127.0.0.1:1", **given),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


def test_off_it_is_not_even_imported() -> None:
    done = run(OFF)
    assert (done.returncode, done.stderr) == (0, "")


def test_without_the_extra_the_setting_is_refused() -> None:
    done = run(WITHOUT, HEFU_TRACES="on")
    assert done.returncode == 2
    assert "HEFU_TRACES: needs OpenTelemetry: pip install '.[otel]'" in done.stderr


async def test_off_no_statement_takes_another_step(house: House) -> None:
    client: Any = database.connection()
    async with client.acquire_connection() as connection:
        inner: Any = connection
        if database.dialect() == "sqlite":
            assert type(inner._connection) is sqlite3.Connection
            assert "_execute" not in vars(inner)
            return
        assert not inner._query_loggers
