"""What all requests of one moment look for is found by one statement."""

from __future__ import annotations

import asyncio
import logging

import pytest

from models import Role
from services import api_keys
from tests.house import House

ME = "{ me { id } }"
KINDS = "{ identitySourceKinds { typeName } }"
MEMBERS = ("zhangsan", "lisi", "bob_jones-2")


async def people(house: House) -> dict[str, str]:
    """Ids of accounts, by access tokens."""
    entrance = await house.entrance()
    logins = [await entrance.log_in(userid) for userid in MEMBERS]
    return {each["tokens"]["accessToken"]: each["user"]["id"] for each in logins}


@pytest.mark.ways
async def test_each_is_answered_for_themselves_by_one_statement(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    expected = await people(house)
    await asyncio.gather(*(house.data(ME, token=token) for token in expected))
    tokens = [*expected] * 5
    with caplog.at_level(logging.DEBUG, "tortoise.db_client"):
        caplog.clear()
        told = await asyncio.gather(*(house.data(ME, token=token) for token in tokens))
        statements = len(caplog.records)
    assert [each["me"]["id"] for each in told] == [expected[token] for token in tokens]
    assert statements == 1


async def test_one_of_them_whose_session_is_over_is_refused_alone(
    house: House,
) -> None:
    over, *others = expected = await people(house)
    await house.data("mutation { signOut { session { id } } }", token=over)
    refused, *told = await asyncio.gather(
        *(house.answer(ME, token=token) for token in (over, *others))
    )
    [error] = refused["errors"]
    assert error["extensions"]["code"] == "UNAUTHENTICATED"
    assert [each["data"]["me"]["id"] for each in told] == [
        expected[token] for token in others
    ]


async def test_who_gives_up_takes_the_answer_from_nobody(house: House) -> None:
    expected = await people(house)
    for turns in range(12):
        asking = [
            asyncio.create_task(house.data(ME, token=token)) for token in expected
        ]
        for _ in range(turns):
            await asyncio.sleep(0)
        asking[0].cancel()
        told = await asyncio.gather(*asking[1:])
        assert [each["me"]["id"] for each in told] == [*expected.values()][1:]
        await asyncio.wait(asking)


@pytest.mark.ways
async def test_logins_that_come_in_by_one_entrance_look_for_it_once(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    entrance, other = await house.entrance(), await house.entrance()
    for each in (entrance, other):
        await each.start("c" * 43)
    with caplog.at_level(logging.DEBUG, "tortoise.db_client"):
        caplog.clear()
        begun = await asyncio.gather(
            *(each.start("c" * 43) for each in (entrance, other) * 6)
        )
        looked = [each for each in caplog.messages if "FROM apps app" in each]
    assert len({each["state"] for each in begun}) == 12
    assert len(looked) == 2


async def test_members_who_log_in_at_once_are_told_apart(house: House) -> None:
    entrance = await house.entrance()
    first = [await entrance.log_in(userid) for userid in MEMBERS]
    again = await asyncio.gather(*(entrance.log_in(userid) for userid in MEMBERS * 3))
    ids = [each["user"]["id"] for each in first]
    assert [each["user"]["id"] for each in again] == ids * 3


@pytest.mark.ways
async def test_api_keys_are_found_by_one_statement_each_for_itself(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    keys = [await house.key(role) for role in (Role.VIEWER, Role.ADMIN, Role.OWNER)]
    unknown = api_keys.new_secret()
    asked = [*keys, unknown] * 3
    await asyncio.gather(*(house.answer(KINDS, token=key) for key in asked))
    with caplog.at_level(logging.DEBUG, "tortoise.db_client"):
        caplog.clear()
        told = await asyncio.gather(*(house.answer(KINDS, token=key) for key in asked))
        statements = len(caplog.records)
    for key, answer in zip(asked, told, strict=True):
        codes = [each["extensions"]["code"] for each in answer.get("errors", [])]
        assert codes == (["UNAUTHENTICATED"] if key == unknown else [])
    assert statements == 1


async def test_codes_that_are_presented_at_once_are_reserved_by_one_statement(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    entrance = await house.entrance()
    prepared = [await entrance.prepared(userid) for userid in MEMBERS * 3]
    with caplog.at_level(logging.DEBUG, "tortoise.db_client"):
        caplog.clear()
        told = await asyncio.gather(*(entrance.present(**each) for each in prepared))
        reserving = [each for each in caplog.messages if "INTO spent_codes" in each]

    assert {each["__typename"] for each in told} == {"LoginSuccess"}
    assert len({each["user"]["id"] for each in told}) == len(MEMBERS)
    if house.database_url.startswith("postgres"):
        assert len(reserving) == 1


async def test_a_code_or_a_state_that_is_presented_twice_at_once_serves_once(
    house: House,
) -> None:
    entrance = await house.entrance()
    first, *others = [await entrance.prepared(userid) for userid in MEMBERS]
    another = {**first, "code": house.wecom.approve("zhangsan")}
    unlike = {**others[0], "code": first["code"]}
    told = await asyncio.gather(
        *(entrance.present(**each) for each in (first, another, unlike, others[1]))
    )

    entered = [each["__typename"] == "LoginSuccess" for each in told]
    assert entered in ([True, False, False, True], [False, True, True, True])
    codes = {each["code"] for each in told if each["__typename"] == "LoginFailure"}
    assert codes <= {"INVALID_CODE", "INVALID_STATE"}
