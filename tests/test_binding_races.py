"""
Races over two real server processes: constraints decide, code tries again.

The two share a database and nothing else, so no lock within a process helps.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

import pytest

from models import (
    BindingTicket,
    Identity,
    PasswordAttempt,
    Role,
    Session,
    User,
    database,
)
from tests.faults.served import serving
from tests.house import Entrance, House, Json, Wecom
from tests.operations import (
    account,
    asking,
    bind,
    bind_new,
    link_own,
    matching,
    refused,
    run,
    sign_in,
    ticket,
    token_of,
)
from wecom.sandbox import examples

pytestmark = pytest.mark.slow

WRONG = "a wrong guess at it"


@dataclass
class Pair:
    """Two processes on one database; the first one's house sets things up."""

    house: House
    other: House

    def both(self, entrance: Entrance) -> itertools.cycle[Entrance]:
        """The entrance through either process, turn and turn about."""
        return itertools.cycle([entrance, replace(entrance, house=self.other)])

    def houses(self) -> itertools.cycle[House]:
        return itertools.cycle([self.house, self.other])


@pytest.fixture
async def pair(database_url: str, wecom: Wecom) -> AsyncGenerator[Pair]:
    async with serving(database_url, wecom) as first:
        key = first.house.keys[Role.OWNER]
        async with (
            serving(database_url, wecom, key=key) as second,
            database.opened(database_url),
        ):
            yield Pair(first.house, second.house)


def kinds(results: list[Json]) -> Counter[str]:
    return Counter(
        each.get("code") or each.get("resolution") or each["__typename"]
        for each in results
    )


@pytest.mark.parametrize("rule", ["NONE", "FIELD_MATCHING"])
async def test_two_hundred_first_logins_of_one_member_end_in_one_account(
    pair: Pair, rule: str
) -> None:
    if rule == "NONE":
        agent = examples.AGENT
        entrance = await pair.house.entrance()
    else:
        agent = examples.OLD_AGENT
        mail = {"email": "zhangsan@example.com", "emailVerified": True}
        await account(pair.house, **mail)
        entrance = await matching(pair.house, "EMAIL")
    prepared = [await entrance.prepared(agent=agent) for _ in range(200)]

    results = await asyncio.gather(
        *(
            through.present(**each)
            for through, each in zip(pair.both(entrance), prepared, strict=False)
        )
    )

    first = "CREATED" if rule == "NONE" else "MATCHED"
    assert kinds(results) == {first: 1, "LINKED": 199}
    assert len({each["user"]["id"] for each in results}) == 1
    assert len({each["session"]["id"] for each in results}) == 200
    assert await User.all().count() == await Identity.all().count() == 1
    assert await Session.all().count() == 200


@pytest.mark.parametrize("through", ["a new account", "an existing account"])
async def test_a_ticket_used_at_once_binds_once(pair: Pair, through: str) -> None:
    await account(pair.house, username="amy", password="correct horse battery staple")
    entrance = await asking(pair.house)
    text = await ticket(entrance)
    doors = pair.both(entrance)

    results = await asyncio.gather(
        *(
            bind_new(next(doors), text)
            if through == "a new account"
            else bind(next(doors), text, "amy")
            for _ in range(5)
        )
    )

    resolution = "CREATED" if through == "a new account" else "BOUND"
    assert kinds(results) == {resolution: 1, "INVALID_TICKET": 4}
    assert await Identity.all().count() == await Session.all().count() == 1
    assert await User.all().count() == (2 if resolution == "CREATED" else 1)


async def test_two_members_who_bind_one_account_at_once_end_in_one_link(
    pair: Pair,
) -> None:
    await account(pair.house, username="amy", password="correct horse battery staple")
    entrance = await asking(pair.house)
    doors = pair.both(entrance)
    texts = [await ticket(entrance, userid) for userid in ("zhangsan", "LiSi")]

    results = await asyncio.gather(*(bind(next(doors), text, "amy") for text in texts))

    assert kinds(results) == {"BOUND": 1, "ALREADY_LINKED": 1}
    assert await Identity.all().count() == await Session.all().count() == 1
    # Being second at the account does not cost the ticket.
    assert await BindingTicket.filter(used_at__isnull=True).count() == 1


async def test_one_member_with_two_tickets_at_once_becomes_one_account(
    pair: Pair,
) -> None:
    entrance = await asking(pair.house)
    doors = pair.both(entrance)
    texts = [await ticket(entrance) for _ in range(10)]

    results = await asyncio.gather(*(bind_new(next(doors), text) for text in texts))

    assert kinds(results) == {"CREATED": 1, "ALREADY_LINKED": 9}
    assert await User.all().count() == await Identity.all().count() == 1


async def test_guesses_made_at_once_count_over_processes(pair: Pair) -> None:
    """Over all tickets, sign-ins and processes: ten, and not one more."""
    await account(pair.house, username="amy", password="correct horse battery staple")
    entrance = await asking(pair.house, app={"allowPasswordSignIn": True})
    doors = pair.both(entrance)
    texts = [await ticket(entrance) for _ in range(12)]

    results = await asyncio.gather(
        *(bind(next(doors), text, "amy", WRONG) for text in texts),
        *(sign_in(next(doors).house, entrance.app_id, "AMY", WRONG) for _ in range(12)),
    )

    assert kinds(results) == {"INVALID_CREDENTIALS": 10, "RATE_LIMITED": 14}
    assert await PasswordAttempt.all().count() == 10
    for _ in range(2):
        late = await sign_in(next(doors).house, entrance.app_id, "amy")
        assert refused(late) == ("RATE_LIMITED", "SAME_REQUEST")


async def test_a_tickets_guesses_count_over_processes(pair: Pair) -> None:
    entrance = await asking(pair.house)
    doors = pair.both(entrance)
    text = await ticket(entrance)

    results = await asyncio.gather(
        *(bind(next(doors), text, f"nobody-{each}", WRONG) for each in range(12))
    )

    assert kinds(results) == {"INVALID_CREDENTIALS": 5, "INVALID_TICKET": 7}


async def test_two_people_who_link_one_member_at_once_end_in_one_link(
    pair: Pair,
) -> None:
    agent = examples.OTHER_CORP_AGENT
    here = await pair.house.entrance()
    source_id = await pair.house.source(here.app_id, agent=agent, identifier="there")
    there = pair.both(Entrance(pair.house, here.app_id, source_id, "there"))
    tokens = [token_of(await here.log_in(userid)) for userid in ("zhangsan", "LiSi")]

    results = await asyncio.gather(
        *(link_own(next(there), token, "maria", agent=agent) for token in tokens)
    )

    assert kinds(results) == {"LinkSuccess": 1, "ALREADY_LINKED": 1}
    assert await Identity.filter(issuer=examples.NORTHWIND).count() == 1


async def test_an_administrator_and_a_first_login_at_once_end_in_one_link(
    pair: Pair,
) -> None:
    user_id = await account(pair.house, username="amy")
    entrance = await pair.house.entrance()
    prepared = await entrance.prepared()
    input = {
        "userId": user_id,
        "identitySourceId": entrance.source_id,
        "subject": "zhangsan",
    }

    payload, result = await asyncio.gather(
        run(
            pair.other,
            "admin/link_identity",
            input,
            token=pair.house.keys[Role.OWNER],
        ),
        entrance.present(**prepared),
    )

    assert result["__typename"] == "LoginSuccess"
    linked = [each["code"] for each in payload["errors"]]
    assert linked == ([] if result["resolution"] == "LINKED" else ["ALREADY_LINKED"])
    assert await Identity.all().count() == 1
