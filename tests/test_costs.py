"""
What each operation costs: statements of SQL, and calls to WeCom.

A number here that grows is a slower login for everybody; one that shrinks is to be
written down. Statements count as the ORM and `models/together.py` send them: BEGIN and
COMMIT are not among them.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from tests.house import House

ME = "{ me { id username displayName email role status createdAt } }"
LISTS = """
{ identitySources(first: 50) {
    nodes { id identifier displayName apps(first: 3) { nodes { id name } } }
    pageInfo { hasNextPage endCursor }
} }
"""
REFRESH = """
mutation($input: RefreshSessionInput!) {
  refreshSession(input: $input) { ... on RefreshedSession { tokens { refreshToken } } }
}
"""
# At the most. What SQLite does in one visit to its thread (`models/together.py`) is not
# logged as a statement.
RETURNING = {"sqlite": 2, "postgres": 4}
FIRST = {"sqlite": 5, "postgres": 7}
REFRESHING = {"sqlite": 3, "postgres": 4}
WECOM = ("gettoken", "getuserinfo", "user_get")

# What the fast ways cost.
pytestmark = pytest.mark.ways


@dataclass
class Cost:
    statements: int = 0
    calls: tuple[int, ...] = ()


class Meter:
    def __init__(self, house: House, caplog: pytest.LogCaptureFixture) -> None:
        self._house = house
        self._caplog = caplog

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Cost]:
        """The cost of the block, once it has ended."""
        cost, before = Cost(), self._calls()
        with self._caplog.at_level(logging.DEBUG, "tortoise.db_client"):
            self._caplog.clear()
            yield cost
            cost.statements = sum(
                each.name == "tortoise.db_client" for each in self._caplog.records
            )
        after = self._calls()
        cost.calls = tuple(now - then for now, then in zip(after, before, strict=True))

    def _calls(self) -> list[int]:
        return [self._house.wecom.calls(endpoint) for endpoint in WECOM]


def dialect(house: House) -> str:
    return house.database_url.partition(":")[0]


@pytest.fixture
def meter(house: House, caplog: pytest.LogCaptureFixture) -> Meter:
    return Meter(house, caplog)


async def test_a_returning_login_asks_wecom_twice_and_never_for_a_token(
    house: House, meter: Meter
) -> None:
    entrance = await house.entrance()
    await entrance.log_in()
    prepared = await entrance.prepared()
    async with meter.running() as cost:
        result = await entrance.present(**prepared)
    assert result["__typename"] == "LoginSuccess"
    assert cost.calls == (0, 1, 1)
    assert cost.statements <= RETURNING[dialect(house)]


async def test_a_first_login_asks_for_the_token_once(
    house: House, meter: Meter
) -> None:
    entrance = await house.entrance()
    prepared = await entrance.prepared()
    async with meter.running() as cost:
        result = await entrance.present(**prepared)
    assert result["resolution"] == "CREATED"
    assert cost.calls == (1, 1, 1)
    assert cost.statements <= FIRST[dialect(house)]


async def test_a_refresh_inside_the_day_asks_nobody(house: House, meter: Meter) -> None:
    result = await (await house.entrance()).log_in()
    token = result["tokens"]["refreshToken"]
    async with meter.running() as cost:
        data = await house.data(REFRESH, {"input": {"refreshToken": token}})
    assert data["refreshSession"]["tokens"]
    assert cost.calls == (0, 0, 0)
    assert cost.statements <= REFRESHING[dialect(house)]


async def test_me_takes_one_statement(house: House, meter: Meter) -> None:
    result = await (await house.entrance()).log_in()
    token = result["tokens"]["accessToken"]
    async with meter.running() as cost:
        data = await house.data(ME, token=token)
    assert data["me"]["id"] == result["user"]["id"]
    assert cost == Cost(statements=1, calls=(0, 0, 0))


async def test_a_nested_page_takes_one_statement(house: House, meter: Meter) -> None:
    for _ in range(3):
        app = await house.app()
        await house.associate(app, await house.source(app))
    key = await house.key()
    await house.data(LISTS, token=key)
    async with meter.running() as cost:
        data = await house.data(LISTS, token=key)
    assert len(data["identitySources"]["nodes"]) == 3
    # And one finds the API key.
    assert cost == Cost(statements=2, calls=(0, 0, 0))
