"""`signInWithPassword`, and how often a password may be guessed: binding rules 6."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from models import PasswordAttempt, Session, User, ids
from tests.house import Clock, House, Json, Wecom, open_house, settings
from tests.operations import (
    PASSWORD,
    account,
    administer,
    asking,
    bind,
    change,
    last_event,
    refused,
    run,
    sign_in,
    standing,
    ticket,
    token_of,
    trail,
)

WRONG = "a wrong guess at it"


async def amy(house: House, **fields: object) -> str:
    return await account(
        house,
        username="Amy",
        email="amy@example.com",
        emailVerified=True,
        phone="13900000001",
        phoneVerified=True,
        password=PASSWORD,
        **fields,
    )


async def app(house: House, **fields: object) -> str:
    return await house.app(allowPasswordSignIn=True, **fields)


@pytest.mark.parametrize(
    "typed", ["Amy", " aMY ", "AMY@example.com", "13900000001", "+86 139-0000-0001"]
)
async def test_every_name_of_an_account_signs_in(house: House, typed: str) -> None:
    user_id, app_id = await amy(house), await app(house)

    result = await sign_in(house, app_id, typed)

    assert (result["resolution"], result["user"]["id"]) == ("PASSWORD", user_id)
    session = await Session.get()
    assert (session.identity_id, session.identity_source_id) == (None, None)
    assert session.resolution == "PASSWORD"
    assert await trail() == [("login.succeeded", None, "password.right")]
    event = await last_event(action="login.succeeded")
    assert (event.subject_id, event.actor_id) == (user_id, user_id)
    assert await PasswordAttempt.all().count() == 0
    shown = await house.data("{ me { lastLoginAt } }", token=token_of(result))
    assert shown["me"]["lastLoginAt"] is not None


@pytest.mark.parametrize(
    ("typed", "password"),
    [
        ("Amy", WRONG),
        ("Amy", ""),
        ("Amy", PASSWORD.upper()),
        ("Amy", "x" * 10_000),
        ("nobody", PASSWORD),
        ("", PASSWORD),
        ("bea", PASSWORD),
        ("bea@example.com", PASSWORD),
        ("13900000002", PASSWORD),
        ("without", PASSWORD),
        ("without", ""),
    ],
)
async def test_nothing_else_signs_in(house: House, typed: str, password: str) -> None:
    await amy(house)
    # Addresses that nobody verified are nobody's.
    await account(
        house, email="bea@example.com", phone="13900000002", password=PASSWORD
    )
    await account(house, username="without")
    app_id = await app(house)
    before = await standing()

    result = await sign_in(house, app_id, typed, password)

    assert refused(result) == ("INVALID_CREDENTIALS", "SAME_REQUEST")
    assert result["message"] == "The account or the password is wrong."
    assert result["retryAfter"] is None
    event = await last_event(action="login.failed")
    assert event.request_id == result["requestId"]
    assert event.failure == "INVALID_CREDENTIALS"
    assert await standing() == before


async def test_it_works_only_where_the_app_allows_it(house: House) -> None:
    await amy(house)
    app_id = await house.app()
    disabled = await app(house, enabled=False)
    before = await standing()

    assert refused(await sign_in(house, app_id, "Amy")) == (
        "METHOD_NOT_ALLOWED",
        "NEVER",
    )
    assert (await last_event(action="login.failed")).rule == "app.no_password_sign_in"
    assert refused(await sign_in(house, disabled, "Amy")) == (
        "APP_UNAVAILABLE",
        "NEVER",
    )
    assert await PasswordAttempt.all().count() == 0
    assert await standing() == before


async def test_a_disabled_account_learns_so_with_the_right_password_only(
    house: House,
) -> None:
    user_id, app_id = await amy(house), await app(house)
    await change(house, user_id, status="DISABLED")
    before = await standing()

    assert refused(await sign_in(house, app_id, "Amy", WRONG))[0] == (
        "INVALID_CREDENTIALS"
    )
    assert refused(await sign_in(house, app_id, "Amy")) == ("ACCOUNT_DISABLED", "NEVER")
    event = await last_event(failure="ACCOUNT_DISABLED")
    assert (event.rule, event.subject_id) == ("password.account_disabled", user_id)
    assert await standing() == before


# ---------------------------------------------------------------- attempt limits


@pytest.mark.parametrize("exists", [True, False])
async def test_the_eleventh_guess_waits_the_right_one_too(
    house: House, exists: bool
) -> None:
    """The same for an account that there is and one that there is not."""
    if exists:
        await amy(house)
    app_id = await app(house)
    before = await standing()
    began = time.monotonic()
    for _ in range(10):
        result = await sign_in(house, app_id, " AMY", WRONG)
        assert refused(result)[0] == "INVALID_CREDENTIALS"

    result = await sign_in(house, app_id, "Amy")

    assert refused(result) == ("RATE_LIMITED", "SAME_REQUEST")
    passed = time.monotonic() - began
    assert 900 - passed - 1 <= result["retryAfter"] <= 900
    assert (await last_event(failure="RATE_LIMITED")).rule == "attempts.address"
    assert await standing() == before
    # Checked before any hashing, and not counted itself.
    assert await PasswordAttempt.all().count() == 10
    house.clock.advance(minutes=15)
    answer = await sign_in(house, app_id, "Amy")
    assert answer["__typename"] == ("LoginSuccess" if exists else "LoginFailure")
    assert answer.get("code") == (None if exists else "INVALID_CREDENTIALS")


async def test_guesses_count_whichever_name_is_typed_and_wherever(house: House) -> None:
    await amy(house)
    entrance = await asking(house, app={"allowPasswordSignIn": True})
    text = await ticket(entrance)
    for typed in ("Amy", "amy@example.com", "13900000001", "+8613900000001", "AMY"):
        await sign_in(house, entrance.app_id, typed, WRONG)
    for _ in range(4):
        await bind(entrance, text, "13900000001", WRONG, method="PHONE_PASSWORD")
    token = token_of(await sign_in(house, await app(house), "Amy"))
    input = {"currentPassword": WRONG, "newPassword": "another battery staple"}
    payload = await run(house, "change_my_password", input, token=token)
    assert payload["errors"][0]["code"] == "INVALID_CREDENTIALS"

    for result in (
        await sign_in(house, entrance.app_id, "Amy"),
        await bind(entrance, text, "Amy"),
    ):
        assert refused(result) == ("RATE_LIMITED", "SAME_REQUEST")
    payload = await run(
        house,
        "change_my_password",
        {"currentPassword": PASSWORD, "newPassword": "another battery staple"},
        token=token,
    )
    assert payload["errors"][0]["code"] == "RATE_LIMITED"


async def test_guesses_made_at_once_count_one_another(house: House) -> None:
    await amy(house)
    app_id = await app(house)

    results = await asyncio.gather(
        *(sign_in(house, app_id, "Amy", WRONG) for _ in range(24))
    )

    codes = [refused(result)[0] for result in results]
    assert codes.count("INVALID_CREDENTIALS") == 10
    assert codes.count("RATE_LIMITED") == 14


@pytest.mark.settings(HEFU_TRUSTED_PROXIES="203.0.113.7")
async def test_a_strangers_guesses_lock_nobody_out_of_their_own_address(
    house: House,
) -> None:
    await amy(house)
    app_id = await app(house)
    for _ in range(11):
        await sign_in(house, app_id, "Amy", WRONG, X_Forwarded_For="198.51.100.1")

    theirs = await sign_in(house, app_id, "Amy", X_Forwarded_For="198.51.100.1")
    mine = await sign_in(house, app_id, "Amy", X_Forwarded_For="198.51.100.2")

    assert refused(theirs)[0] == "RATE_LIMITED"
    assert mine["resolution"] == "PASSWORD"


async def test_a_hundred_a_day_from_everywhere_and_wecom_goes_on(house: House) -> None:
    """Guessing at somebody's password never keeps them from logging in by WeCom."""
    entrance = await house.entrance(app={"allowPasswordSignIn": True})
    user_id = (await entrance.log_in())["user"]["id"]
    await change(house, user_id, username="amy")
    await administer(house, "set_user_password", {"id": user_id, "password": PASSWORD})
    await sign_in(house, entrance.app_id, "amy", WRONG)
    [guess] = await PasswordAttempt.all()
    for number in range(99):
        await PasswordAttempt.create(
            id=ids.new(),
            account=guess.account,
            address=f"198.51.100.{number}",
            created_at=guess.created_at,
        )

    result = await sign_in(house, entrance.app_id, "amy")

    assert refused(result) == ("RATE_LIMITED", "SAME_REQUEST")
    assert 86_000 < result["retryAfter"] <= 86_400
    assert (await last_event(failure="RATE_LIMITED")).rule == "attempts.everywhere"
    assert (await entrance.log_in())["resolution"] == "LINKED"
    house.clock.advance(hours=24)
    assert (await sign_in(house, entrance.app_id, "amy"))["resolution"] == "PASSWORD"


async def test_attempts_survive_a_restart(
    database_url: str, wecom: Wecom, clock: Clock
) -> None:
    given = settings(database_url, wecom.url)
    async with open_house(given, wecom, clock) as house:
        await amy(house)
        app_id = await app(house)
        for _ in range(10):
            await sign_in(house, app_id, "Amy", WRONG)

    async with open_house(given, wecom, clock) as house:
        result = await sign_in(house, app_id, "Amy")

    assert refused(result) == ("RATE_LIMITED", "SAME_REQUEST")


# ------------------------------------------------------------- while it is hashed


@pytest.mark.parametrize(
    ("change", "code", "rule"),
    [
        # Its owner changed it to keep somebody out: a session must not come after.
        ("password", "INVALID_CREDENTIALS", "password.changed_meanwhile"),
        ("account", "ACCOUNT_DISABLED", "password.account_disabled"),
        ("app", "APP_UNAVAILABLE", "app.disabled"),
        ("sign-in", "METHOD_NOT_ALLOWED", "app.no_password_sign_in"),
        ("deleted", "INVALID_CREDENTIALS", "password.account_deleted_meanwhile"),
    ],
)
async def test_what_changes_while_a_password_is_looked_at_counts(
    house: House, change: str, code: str, rule: str
) -> None:
    user_id, app_id = await amy(house), await app(house)
    changes: dict[str, tuple[str, Json]] = {
        "password": ("set_user_password", {"id": user_id, "password": None}),
        "account": ("update_user", {"id": user_id, "status": "DISABLED"}),
        "app": ("update_app", {"id": app_id, "enabled": False}),
        "sign-in": ("update_app", {"id": app_id, "allowPasswordSignIn": False}),
        "deleted": ("delete_user", {"id": user_id}),
    }
    release = threading.Event()
    passwords = house.services.passwords
    cores = [
        asyncio.create_task(passwords._in_turn(release.wait))
        for _ in range(passwords._workers)
    ]
    await asyncio.sleep(0)

    signing_in = asyncio.create_task(sign_in(house, app_id, "Amy"))
    while not await PasswordAttempt.exists():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await administer(house, *changes[change])
    release.set()
    await asyncio.gather(*cores)

    assert refused(await signing_in)[0] == code
    assert (await last_event(action="login.failed")).rule == rule
    assert await Session.all().count() == 0


async def test_nothing_of_a_password_is_kept(house: House) -> None:
    await amy(house)
    app_id = await app(house)
    await sign_in(house, app_id, "Amy")

    assert PASSWORD not in str(await User.all().values())
