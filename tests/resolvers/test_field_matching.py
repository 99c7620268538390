"""A first login where the source matches fields: binding rules 4 and 5."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest

from models import Identity, Role, User, database
from tests.house import House, Json
from tests.operations import (
    account,
    administer,
    come,
    last_event,
    link,
    matching,
    refused,
    standing,
    trail,
)
from wecom.sandbox import examples

MAIL = {"email": "ZhangSan@Example.com", "emailVerified": True}
BIZ_MAIL = {"email": "zhangsan@hefu.example", "emailVerified": True}
PHONE = {"phone": "+8613800000001", "phoneVerified": True}

MATCHES: list[tuple[str, Json]] = [
    ("EMAIL", MAIL),
    ("EMAIL", BIZ_MAIL),
    ("PHONE", PHONE),
    ("USERNAME", {"username": "ZhangSan"}),
    ("EXTERNAL_ID", {"externalId": "ZHANGSAN"}),
]


@pytest.mark.parametrize(("field", "fields"), MATCHES)
async def test_the_one_account_that_matches_is_linked(
    house: House, field: str, fields: Json
) -> None:
    user_id = await account(house, **fields)
    await account(house, username="somebody", email="else@example.com")
    entrance = await matching(house, field)

    result = await come(entrance)

    assert (result["resolution"], result["user"]["id"]) == ("MATCHED", user_id)
    identity = await Identity.get()
    assert (identity.issuer, identity.subject) == (examples.HEFU, "zhangsan")
    assert identity.linked_by == "FIELD_MATCHING"
    assert await trail() == [
        ("identity.linked", None, "field_matching.one"),
        ("login.succeeded", None, "field_matching.one"),
    ]
    event = await last_event(action="login.succeeded")
    assert (event.subject_id, event.actor_id) == (user_id, user_id)
    assert (event.corp_id, event.wecom_user_id) == (examples.HEFU, "zhangsan")
    assert (await come(entrance))["resolution"] == "LINKED"


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("EMAIL", {**MAIL, "emailVerified": False}),
        ("EMAIL", {"username": "zhangsan", "externalId": "zhangsan", **PHONE}),
        ("EMAIL", {"email": "zhangsan@example.org", "emailVerified": True}),
        ("PHONE", {**PHONE, "phoneVerified": False}),
        ("PHONE", {"username": "13800000001", **MAIL}),
        ("USERNAME", {"externalId": "zhangsan", **MAIL, **PHONE}),
        ("EXTERNAL_ID", {"username": "zhangsan", **MAIL, **PHONE}),
    ],
)
async def test_nothing_else_matches(house: House, field: str, fields: Json) -> None:
    user_id = await account(house, **fields)
    entrance = await matching(house, field)

    result = await come(entrance)

    assert result["resolution"] == "CREATED"
    # What WeCom tells stays in the identity's profile until somebody verifies it.
    assert result["user"] | {"id": None} == {
        "id": None,
        "username": None,
        "displayName": "张三",
        "email": None,
        "phone": None,
        "externalId": None,
        "role": "MEMBER",
        "status": "ACTIVE",
    }
    assert result["user"]["id"] != user_id
    identity = await Identity.get()
    assert identity.profile["email"] == "zhangsan@example.com"
    assert (await last_event(action="login.succeeded")).rule == "creation.allowed"


async def test_all_hits_count_together(house: House) -> None:
    """Never the first that fits: the second one may be the person."""
    await account(house, **MAIL)
    await account(house, username="zhangsan")
    entrance = await matching(house, "EMAIL", "USERNAME")

    await refuses(entrance, "ACCOUNT_CONFLICT", "field_matching.many", subject=None)


async def test_two_mailboxes_of_one_member_may_be_two_accounts(house: House) -> None:
    await account(house, **MAIL)
    await account(house, **BIZ_MAIL)
    entrance = await matching(house, "EMAIL")

    await refuses(entrance, "ACCOUNT_CONFLICT", "field_matching.many", subject=None)


async def test_two_fields_of_one_account_find_one(house: House) -> None:
    user_id = await account(
        house, username="zhangsan", externalId="zhangsan", **MAIL, **PHONE
    )
    entrance = await matching(house, "EMAIL", "PHONE", "USERNAME", "EXTERNAL_ID")

    result = await come(entrance)

    assert (result["resolution"], result["user"]["id"]) == ("MATCHED", user_id)


async def refuses(
    entrance: Any, code: str, rule: str, *, subject: str | None, **how: Any
) -> None:
    before = await standing()

    result = await come(entrance, **how)

    assert refused(result) == (code, "NEVER")
    event = await last_event(action="login.failed")
    assert (event.failure, event.rule) == (code, rule)
    assert event.subject_id == subject
    assert event.request_id == result["requestId"]
    assert event.corp_id == examples.HEFU
    assert await standing() == before


async def test_a_disabled_account_is_not_matched(house: House) -> None:
    user_id = await account(house, **MAIL)
    await administer(house, "update_user", {"id": user_id, "status": "DISABLED"})
    entrance = await matching(house, "EMAIL")

    rule = "field_matching.account_disabled"
    await refuses(entrance, "ACCOUNT_DISABLED", rule, subject=user_id)


async def test_an_account_holds_one_member_of_a_corp(house: House) -> None:
    user_id = await account(house, **MAIL)
    await link(house, user_id, "LiSi")
    entrance = await matching(house, "EMAIL", across=True)

    rule = "field_matching.holds_this_corp"
    await refuses(entrance, "ALREADY_LINKED", rule, subject=user_id)


@pytest.mark.parametrize("role", ["VIEWER", "ADMIN", "OWNER"])
async def test_a_privileged_account_is_never_matched(house: House, role: str) -> None:
    user_id = await account(house, role=role, **MAIL)
    entrance = await matching(house, "EMAIL")

    rule = "field_matching.privileged"
    await refuses(entrance, "ACCOUNT_CONFLICT", rule, subject=user_id)


async def test_another_corps_account_is_matched_only_where_the_source_says_so(
    house: House,
) -> None:
    user_id = await account(house, **MAIL)
    await link(house, user_id, "maria", agent=examples.OTHER_CORP_AGENT)
    narrow = await matching(house, "EMAIL")
    wide = await matching(house, "EMAIL", across=True)

    rule = "field_matching.other_corp"
    await refuses(narrow, "ACCOUNT_CONFLICT", rule, subject=user_id)
    result = await come(wide)

    assert (result["resolution"], result["user"]["id"]) == ("MATCHED", user_id)
    assert await Identity.all().count() == 2


@pytest.mark.parametrize("agent", [examples.AGENT, examples.OLD_AGENT])
async def test_where_nothing_was_told_nothing_is_created(
    house: House, agent: Any
) -> None:
    """Otherwise everybody would get a second account."""
    await account(house, **MAIL)
    person = house.wecom.person("zhangsan")
    person.email = person.biz_mail = ""
    # As WeCom hides it from some; no number can be made of it, so it is not told.
    person.mobile = "138****0001"
    entrance = await matching(house, "EMAIL", "PHONE", agent=agent)

    rule = "field_matching.nothing_told"
    await refuses(entrance, "PROFILE_INSUFFICIENT", rule, subject=None, agent=agent)


async def test_one_field_told_is_enough_to_know_that_there_is_no_account(
    house: House,
) -> None:
    entrance = await matching(house, "EMAIL", "USERNAME", agent=examples.AGENT)

    result = await come(entrance, agent=examples.AGENT)

    assert result["resolution"] == "CREATED"


@pytest.mark.parametrize(
    ("rules", "rule"),
    [
        ({"loginOnly": True}, "creation.login_only"),
        ({"app": {"allowSignUp": False}}, "creation.sign_up_off"),
    ],
)
async def test_without_a_match_it_is_as_without_matching(
    house: House, rules: Json, rule: str
) -> None:
    entrance = await matching(house, "EMAIL", **rules)

    await refuses(entrance, "ACCOUNT_NOT_FOUND", rule, subject=None)


async def test_login_only_lets_those_in_who_match(house: House) -> None:
    user_id = await account(house, **PHONE)
    entrance = await matching(
        house, "PHONE", loginOnly=True, app={"allowSignUp": False}
    )

    assert (await come(entrance))["user"]["id"] == user_id


@pytest.mark.parametrize(
    ("mobile", "phone"),
    [
        ("13800000001", "+8613800000001"),
        ("+86 138-0000-0001", "+8613800000001"),
        ("0086 13800000001", "+8613800000001"),
        ("+44 7700 900123", "+447700900123"),
    ],
)
async def test_a_phone_is_the_same_in_every_spelling(
    house: House, mobile: str, phone: str
) -> None:
    user_id = await account(house, phone=phone, phoneVerified=True)
    house.wecom.person("zhangsan").mobile = mobile
    entrance = await matching(house, "PHONE")

    assert (await come(entrance))["user"]["id"] == user_id


async def test_simultaneous_first_logins_match_one_account(house: House) -> None:
    """The second finds the member linked, not an account that is somebody else's."""
    user_id = await account(house, **MAIL)
    entrance = await matching(house, "EMAIL")
    prepared = [await entrance.prepared(agent=examples.OLD_AGENT) for _ in range(12)]

    results = await asyncio.gather(*(entrance.present(**each) for each in prepared))

    assert {result["__typename"] for result in results} == {"LoginSuccess"}
    assert {result["user"]["id"] for result in results} == {user_id}
    assert [result["resolution"] for result in results].count("MATCHED") == 1
    assert await User.all().count() == await Identity.all().count() == 1


async def test_an_account_that_becomes_privileged_meanwhile_is_not_matched(
    house: House,
) -> None:
    """Between the look at it and the link an owner makes somebody an administrator."""
    user_id = await account(house, **MAIL)
    entrance = await matching(house, "EMAIL")
    prepared = await entrance.prepared(agent=examples.OLD_AGENT)
    outside = contextvars.copy_context()

    async with database.transaction():
        await User.all().update(role=Role.ADMIN)
        login = asyncio.create_task(entrance.present(**prepared), context=outside)
        # Until it has looked, and waits for the account.
        await asyncio.sleep(0.5)

    assert refused(await login) == ("ACCOUNT_CONFLICT", "NEVER")
    event = await last_event(action="login.failed")
    assert (event.rule, event.subject_id) == ("field_matching.privileged", user_id)
    assert await Identity.all().count() == 0


async def test_two_members_who_match_one_account_end_in_one_link(house: House) -> None:
    await account(house, **MAIL)
    house.wecom.person("LiSi").email = "zhangsan@example.com"
    entrance = await matching(house, "EMAIL")
    prepared = [
        await entrance.prepared(userid, agent=examples.OLD_AGENT)
        for userid in ("zhangsan", "LiSi")
    ]

    results = await asyncio.gather(*(entrance.present(**each) for each in prepared))

    told = {result.get("resolution") or result.get("code") for result in results}
    assert told == {"MATCHED", "ALREADY_LINKED"}
    assert await Identity.all().count() == 1
