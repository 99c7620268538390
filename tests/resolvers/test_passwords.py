from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from models import AuditEvent, PasswordAttempt, Role, Session, User, ids
from tests.house import House, Json

OPERATIONS = Path(__file__).parents[2] / "graphql" / "operations"
CHANGE = (OPERATIONS / "change_my_password.graphql").read_text(encoding="utf-8")

SIGN_IN = """
mutation($input: SignInWithPasswordInput!) {
  signInWithPassword(input: $input) {
    __typename
    ... on LoginSuccess { session { id } tokens { accessToken } user { id } }
    ... on LoginFailure { code retry retryAfter }
  }
}
"""

OLD, NEW = "correct horse battery staple", "a new one, just as good"
WRONG = {"__typename": "LoginFailure", "code": "INVALID_CREDENTIALS"}

behind_a_proxy = pytest.mark.settings(HEFU_TRUSTED_PROXIES="203.0.113.7")


async def account(house: House, **input: Any) -> str:
    payload = await house.mutate(
        "createUser",
        {"username": "amy", "password": OLD, **input},
        "user { id } errors { path code }",
        token=await house.key(),
    )
    assert payload["errors"] == [], payload
    return str(payload["user"]["id"])


async def sign_in(
    house: House, app_id: str, account: str, password: str = OLD, **headers: str
) -> Json:
    input = {"appId": app_id, "account": account, "password": password}
    data = await house.data(SIGN_IN, {"input": input}, **headers)
    return dict(data["signInWithPassword"])


async def signed_in(house: House) -> tuple[str, str]:
    """Amy's app and access token."""
    app = await house.app(allowPasswordSignIn=True)
    answer = await sign_in(house, app, "amy")
    return app, answer["tokens"]["accessToken"]


async def change(
    house: House, token: str, current: str | None, new: str = NEW, **headers: str
) -> Json:
    input = {"currentPassword": current, "newPassword": new}
    answer = await house.answer(CHANGE, {"input": input}, token=token, **headers)
    if "errors" in answer:
        return dict(answer["errors"][0]["extensions"])
    return dict(answer["data"]["changeMyPassword"])


def problems(payload: Json) -> list[tuple[str, str]]:
    assert payload["user"] is None
    return [(".".join(each["path"]), each["code"]) for each in payload["errors"]]


async def hash_of(id: str) -> str | None:
    return (await User.get(id=ids.read(ids.USER, id))).password_hash


async def live(id: str) -> int:
    return await Session.filter(user_id=ids.read(ids.USER, id), revoked_at=None).count()


# ----------------------------------------------------------------- changing one's own


async def test_a_changed_password_ends_the_other_sessions(house: House) -> None:
    id = await account(house)
    app, token = await signed_in(house)
    others = [await sign_in(house, app, "amy") for _ in range(2)]

    payload = await change(house, token, OLD)

    assert payload == {"user": {"id": id, "hasPassword": True}, "errors": []}
    assert await live(id) == 1
    assert (await house.data("{ me { id } }", token=token))["me"] == {"id": id}
    for other in others:
        answer = await house.answer(
            "{ me { id } }", token=other["tokens"]["accessToken"]
        )
        assert answer["errors"][0]["extensions"]["reason"] == "REVOKED"
    ended = AuditEvent.filter(action="session.revoked", rule="password.changed")
    assert {event.subject_id for event in await ended} == {
        other["session"]["id"] for other in others
    }
    assert await AuditEvent.filter(action="user.password_changed").count() == 1
    assert (await sign_in(house, app, "amy", OLD))["code"] == "INVALID_CREDENTIALS"
    assert (await sign_in(house, app, "amy", NEW))["user"] == {"id": id}


async def test_the_current_password_must_be_right(house: House) -> None:
    id = await account(house)
    app, token = await signed_in(house)
    await sign_in(house, app, "amy")
    before = await hash_of(id)

    assert problems(await change(house, token, "something else")) == [
        ("input.currentPassword", "INVALID_CREDENTIALS")
    ]
    assert problems(await change(house, token, None)) == [
        ("input.currentPassword", "REQUIRED")
    ]
    assert problems(await change(house, token, "something else", "short")) == [
        ("input.currentPassword", "INVALID_CREDENTIALS"),
        ("input.newPassword", "TOO_SHORT"),
    ]

    assert (await hash_of(id), await live(id)) == (before, 2)
    [event] = await AuditEvent.filter(action="user.password_change_failed")
    assert (event.failure, event.rule, event.actor_id, event.count) == (
        "INVALID_CREDENTIALS",
        "password.wrong",
        id,
        2,
    )


@pytest.mark.parametrize(
    ("new", "code"),
    [
        ("short", "TOO_SHORT"),
        ("x" * 129, "TOO_LONG"),
        ("password", "TOO_WEAK"),
        ("AMY@example.com", "TOO_WEAK"),
    ],
)
async def test_the_new_password_obeys_the_policy(
    house: House, new: str, code: str
) -> None:
    id = await account(house, email="amy@example.com")
    _, token = await signed_in(house)
    before = await hash_of(id)

    assert problems(await change(house, token, OLD, new)) == [
        ("input.newPassword", code)
    ]

    assert await hash_of(id) == before
    assert await PasswordAttempt.all().count() == 0


async def test_a_first_password_wants_a_recent_login(house: House) -> None:
    entrance = await house.entrance()
    login = await entrance.log_in()
    id, token = login["user"]["id"], login["tokens"]["accessToken"]

    house.clock.advance(minutes=10)
    refused = await change(house, token, None)

    assert (refused["code"], refused["reason"]) == (
        "UNAUTHENTICATED",
        "REAUTHENTICATE",
    )
    assert await hash_of(id) is None
    [event] = await AuditEvent.filter(action="user.password_change_failed")
    assert (event.failure, event.rule) == (None, "session.not_fresh")
    again = (await entrance.log_in())["tokens"]["accessToken"]
    house.clock.advance(minutes=9, seconds=50)
    assert await change(house, again, None) == {
        "user": {"id": id, "hasPassword": True},
        "errors": [],
    }
    assert await live(id) == 1


async def test_of_two_first_passwords_at_once_one_counts(house: House) -> None:
    entrance = await house.entrance()
    login = await entrance.log_in()
    token = login["tokens"]["accessToken"]

    payloads = await asyncio.gather(
        *(change(house, token, None, f"{NEW} {n}") for n in range(3))
    )

    refused = [payload for payload in payloads if payload["errors"]]
    assert [problems(payload) for payload in refused] == [
        [("input.currentPassword", "INVALID_CREDENTIALS")]
    ] * 2
    [event] = await AuditEvent.filter(action="user.password_change_failed")
    assert (event.rule, event.count) == ("password.changed_meanwhile", 2)


async def test_an_api_key_has_no_password_and_nobody_neither(house: House) -> None:
    key = await house.key(Role.OWNER)

    assert (await change(house, key, None))["code"] == "FORBIDDEN"
    input = {"input": {"newPassword": NEW}}
    answer = await house.answer(CHANGE, input)
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


# ---------------------------------------------------------------------------- guessing


@behind_a_proxy
async def test_ten_wrong_passwords_and_even_the_right_one_must_wait(
    house: House,
) -> None:
    id = await account(house, email="amy@example.com", emailVerified=True)
    app, token = await signed_in(house)
    began = time.monotonic()
    names = ["amy", "AMY", "amy@example.com", "Amy@Example.com", " amy "]
    here, there = {"X-Forwarded-For": "198.51.100.1"}, {"X-Forwarded-For": "::1:2:3"}

    for name in names:
        answer = await sign_in(house, app, name, "something else", **here)
        assert answer["code"] == "INVALID_CREDENTIALS"
        payload = await change(house, token, "something else", **here)
        assert problems(payload) == [("input.currentPassword", "INVALID_CREDENTIALS")]

    limited = await sign_in(house, app, "amy", OLD, **here)
    assert (limited["code"], limited["retry"]) == ("RATE_LIMITED", "SAME_REQUEST")
    passed = time.monotonic() - began
    assert 900 - passed - 1 <= limited["retryAfter"] <= 900
    before = await hash_of(id)
    payload = await change(house, token, OLD, **here)
    assert problems(payload) == [("input.currentPassword", "RATE_LIMITED")]
    assert "8" in payload["errors"][0]["message"]
    assert await hash_of(id) == before

    assert (await sign_in(house, app, "amy", OLD, **there))["user"] == {"id": id}
    house.clock.advance(minutes=15)
    assert (await sign_in(house, app, "amy", OLD, **here))["user"] == {"id": id}


@pytest.mark.parametrize("known", [True, False])
async def test_an_unknown_account_is_limited_just_the_same(
    house: House, known: bool
) -> None:
    app = await house.app(allowPasswordSignIn=True)
    if known:
        await account(house, username=None, phone="13800000000", phoneVerified=True)
    names = ["13800000000", "+8613800000000", "+86 138-0000-0000"]

    answers = [
        await sign_in(house, app, names[n % 3], "something else") for n in range(11)
    ]

    wrong = {**WRONG, "retry": "SAME_REQUEST", "retryAfter": None}
    assert answers[:10] == [wrong] * 10
    assert answers[10]["code"] == "RATE_LIMITED"


async def test_guesses_made_at_once_count_one_another(house: House) -> None:
    await account(house)
    app = await house.app(allowPasswordSignIn=True)

    answers = await asyncio.gather(
        *(sign_in(house, app, "amy", f"a wrong one, {n}") for n in range(30))
    )

    codes = sorted(answer["code"] for answer in answers)
    assert codes == ["INVALID_CREDENTIALS"] * 10 + ["RATE_LIMITED"] * 20


# ------------------------------------------------------------------ what names somebody


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("Amy.P", True),
        ("ａｍｙ．ｐ", True),
        ("amy.p ", True),
        ("AMY@example.com", True),
        ("13800000000", True),
        ("+86 138 0000 0000", True),
        ("E-1", False),
        ("Amy Pond", False),
        ("", False),
        ("nul\0", False),
        ("a" * 5000, False),
    ],
)
async def test_only_a_username_and_verified_addresses_name_somebody(
    house: House, typed: str, found: bool
) -> None:
    app = await house.app(allowPasswordSignIn=True)
    id = await account(
        house,
        username="amy.p",
        displayName="Amy Pond",
        email="amy@example.com",
        emailVerified=True,
        phone="13800000000",
        phoneVerified=True,
        externalId="E-1",
    )

    answer = await sign_in(house, app, typed)

    assert answer["__typename"] == ("LoginSuccess" if found else "LoginFailure")
    assert answer.get("user") == ({"id": id} if found else None)


@pytest.mark.parametrize("typed", ["amy@example.com", "13800000000"])
async def test_an_unverified_address_names_nobody(house: House, typed: str) -> None:
    app = await house.app(allowPasswordSignIn=True)
    await account(house, email="amy@example.com", phone="13800000000")

    assert (await sign_in(house, app, typed))["code"] == "INVALID_CREDENTIALS"


async def test_digits_are_a_username_first_and_a_phone_with_its_country(
    house: House,
) -> None:
    app = await house.app(allowPasswordSignIn=True)
    by_name = await account(house, username="13800000000")
    by_phone = await account(
        house, username=None, phone="13800000000", phoneVerified=True
    )

    digits = await sign_in(house, app, "13800000000")
    number = await sign_in(house, app, "+8613800000000")

    assert (digits["user"]["id"], number["user"]["id"]) == (by_name, by_phone)


async def test_an_account_without_a_password_cannot_sign_in(house: House) -> None:
    app = await house.app(allowPasswordSignIn=True)
    await account(house, password=None)

    assert (await sign_in(house, app, "amy"))["code"] == "INVALID_CREDENTIALS"


async def test_a_right_password_is_hashed_anew_with_todays_parameters(
    house: House,
) -> None:
    from argon2 import PasswordHasher  # noqa: PLC0415

    app = await house.app(allowPasswordSignIn=True)
    id = await account(house)
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(OLD)
    await User.filter(id=ids.read(ids.USER, id)).update(password_hash=cheap)

    await sign_in(house, app, "amy", "something else")
    assert await hash_of(id) == cheap
    await sign_in(house, app, "amy")

    assert str(await hash_of(id)).startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert (await sign_in(house, app, "amy"))["user"] == {"id": id}


async def test_no_password_is_stored_or_told(house: House) -> None:
    id = await account(house)
    _, token = await signed_in(house)
    await change(house, token, OLD)

    stored = [str(event) for event in await AuditEvent.all().values()]
    assert len(stored) > 3
    assert all(OLD not in text and NEW not in text for text in stored)
    assert await hash_of(id) not in (OLD, NEW)
