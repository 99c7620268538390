"""How often one may call what needs no credential, and by which address it counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from models import AuditEvent, SpentCode, SpentState, database
from models import Session as StoredSession
from services.rates import HANDFUL
from tests.house import START, Clock, Entrance, House, Wecom, open_house, settings
from tests.security.conftest import Row
from tests.security.serving import Served, house_of, served

LIMIT = 100


def limited(result: dict[str, Any]) -> bool:
    return result.get("code") == "RATE_LIMITED"


@pytest.mark.settings(HEFU_RATE_LIMIT_ADDRESS="20/h")
async def test_an_address_may_so_often_and_then_nothing_is_written(
    house: House,
) -> None:
    entrance = await house.entrance()
    results = [await entrance.start("c" * 43) for _ in range(20)]
    assert not any(map(limited, results))
    before = await _written()

    refused = await entrance.present(house.wecom.approve(), state="x")

    assert refused["code"] == "RATE_LIMITED"
    assert refused["retry"] == "SAME_REQUEST"
    assert 0 < refused["retryAfter"] <= 3600
    assert await _written() == before
    assert house.wecom.calls("getuserinfo") == 0
    [event] = await AuditEvent.filter(rule="rate.address")
    assert event.failure == "RATE_LIMITED"
    house.clock.advance(hours=1)
    assert not limited(await entrance.start("c" * 43))


@pytest.mark.settings(HEFU_RATE_LIMIT_SOURCE="20/h", HEFU_TRUSTED_PROXIES="203.0.113.7")
async def test_a_source_may_so_often_from_wherever(house: House) -> None:
    entrance = await house.entrance()
    other = await house.entrance()
    results = [
        await entrance.start("c" * 43, X_Forwarded_For=f"198.51.100.{number}")
        for number in range(25)
    ]
    assert [limited(each) for each in results] == [False] * 20 + [True] * 5
    assert not limited(await other.start("c" * 43))


@pytest.mark.settings(HEFU_RATE_LIMIT_SOURCE="1000/h", HEFU_RATE_LIMIT_ADDRESS="off")
async def test_those_of_one_moment_take_no_more_than_they_need(house: House) -> None:
    entrance = await house.entrance()
    handful = 1000 // HANDFUL
    results = await asyncio.gather(
        *(entrance.start("c" * 43) for _ in range(handful * 2))
    )
    assert not any(map(limited, results))
    taken = await database.fetch("SELECT count FROM rate_counters")
    assert [row["count"] for row in taken] == [handful * 2]


@pytest.mark.settings(
    HEFU_RATE_LIMIT_ADDRESS="20/h", HEFU_TRUSTED_PROXIES="203.0.113.7"
)
async def test_a_neighbourhood_of_ipv6_counts_as_one(house: House) -> None:
    entrance = await house.entrance()

    async def starts(prefix: str) -> list[bool]:
        return [
            limited(
                await entrance.start("c" * 43, X_Forwarded_For=f"{prefix}::{number:x}")
            )
            for number in range(25)
        ]

    assert await starts("2001:db8:1:1") == [False] * 20 + [True] * 5
    assert await starts("2001:db8:1:2") == [False] * 20 + [True] * 5


@pytest.mark.settings(HEFU_RATE_LIMIT_ADDRESS="20/h")
async def test_what_a_stranger_forwards_buys_no_more(house: House) -> None:
    entrance = await house.entrance()
    results = [
        await entrance.start("c" * 43, X_Forwarded_For=f"198.51.100.{number}")
        for number in range(21)
    ]
    assert limited(results[-1])


@pytest.mark.parametrize(
    ("trusted", "forwarded", "noted"),
    [
        ("", "198.51.100.9", "203.0.113.7"),
        ("203.0.113.7", "198.51.100.9", "198.51.100.9"),
        ("203.0.113.7", "1.1.1.1, 198.51.100.9", "198.51.100.9"),
        ("203.0.113.0/24", "198.51.100.9, 203.0.113.8", "198.51.100.9"),
        ("203.0.113.7", "unknown", "203.0.113.7"),
        ("203.0.113.7", "198.51.100.9, nonsense", "203.0.113.7"),
        ("203.0.113.7", "[2001:db8::1]:443", "2001:db8::1"),
        ("203.0.113.7", "," * 5000, "203.0.113.7"),
        ("203.0.113.7", "9" * 9000, "203.0.113.7"),
        ("203.0.113.7", "\x00\x01", "203.0.113.7"),
    ],
)
async def test_the_address_that_is_noted_is_nobodys_invention(  # noqa: PLR0917
    database_url: str,
    wecom: Wecom,
    clock: Clock,
    trusted: str,
    forwarded: str,
    noted: str,
) -> None:
    given = settings(database_url, wecom.url, HEFU_TRUSTED_PROXIES=trusted)
    async with open_house(given, wecom, clock) as house:
        entrance = await house.entrance()
        result = await entrance.present(
            **await entrance.prepared(),
            headers={"X_Forwarded_For": forwarded, "Forwarded": "for=9.9.9.9"},
        )
        assert result["__typename"] == "LoginSuccess"
        [session] = await StoredSession.all()
        [event] = await AuditEvent.filter(action="login.succeeded")
    assert session.ip_address == event.ip_address == noted


@pytest.mark.slow
async def test_two_processes_keep_to_one_limit(
    database_url: str, wecom: Wecom, tmp_path: Path, row: Callable[[str], Row]
) -> None:
    line = row("Rate limits: two processes, one limit, calls at once")
    if time.time() % 3600 > 3540:
        await asyncio.sleep(61)  # A new window would begin in between.
    environ = {"HEFU_RATE_LIMIT_ADDRESS": f"{LIMIT}/h"}
    with (
        served(database_url, wecom.url, tmp_path / "one", **environ) as one,
        served(database_url, wecom.url, tmp_path / "two", **environ) as two,
    ):
        async with house_of(one, wecom, database_url) as house:
            entrance = await house.entrance()
            passed = await _storm([one, two], entrance, calls=3 * LIMIT)
    line.tried += 3 * LIMIT
    line.measure("let through", passed, f"of {LIMIT}")
    # What one process has taken and not used is lost to the other.
    handful = max(LIMIT // HANDFUL, 1)
    if not LIMIT - 2 * handful <= passed <= LIMIT:
        line.through.append(passed)


async def _storm(servers: list[Served], entrance: Entrance, *, calls: int) -> int:
    input = {
        "appId": entrance.app_id,
        "identitySource": entrance.identifier,
        "codeChallenge": "c" * 43,
    }
    body = {"query": START, "variables": {"input": input}}
    at_once = asyncio.Semaphore(16)

    async def start(number: int) -> bool:
        url = f"{servers[number % len(servers)].url}/graphql"
        async with at_once:
            answer = await client.post(url, json=body)
        return not limited(answer.json()["data"]["startWecomMobileLogin"])

    async with httpx.AsyncClient(timeout=30) as client:
        passed = await asyncio.gather(*(start(number) for number in range(calls)))
    return sum(passed)


async def _written() -> tuple[int, int, int]:
    return (
        await StoredSession.all().count(),
        await SpentCode.all().count(),
        await SpentState.all().count(),
    )
