"""The ticket, `bindExistingAccount` and `bindNewAccount`: binding rules 4 to 6."""

from __future__ import annotations

import asyncio
import secrets
from datetime import datetime, timedelta

import pytest

from models import (
    BindingTicket,
    Identity,
    PasswordAttempt,
    Session,
    User,
    database,
    digests,
    ids,
)
from tests.house import Entrance, House, Json
from tests.operations import (
    PASSWORD,
    account,
    administer,
    asking,
    bind,
    bind_new,
    change,
    last_event,
    link,
    refused,
    sign_in,
    standing,
    stored,
    ticket,
    token_of,
    trail,
)
from wecom.sandbox import examples

WRONG = "a wrong guess at it"


async def amy(house: House, **fields: object) -> str:
    return await account(house, username="Amy", password=PASSWORD, **fields)


# ------------------------------------------------------------------- being asked


@pytest.mark.parametrize("login_only", [True, False])
@pytest.mark.parametrize("sign_up", [True, False])
async def test_a_first_login_asks(
    house: House, login_only: bool, sign_up: bool
) -> None:
    entrance = await asking(
        house,
        methods=["EMAIL_PASSWORD", "USERNAME_PASSWORD"],
        loginOnly=login_only,
        app={"allowSignUp": sign_up},
    )

    asked = await entrance.log_in("LiSi")

    expires_at = datetime.fromisoformat(asked.pop("expiresAt"))
    text = asked.pop("ticket")
    assert asked == {
        "__typename": "BindingRequired",
        "methods": ["EMAIL_PASSWORD", "USERNAME_PASSWORD"],
        "canCreateAccount": sign_up and not login_only,
        "profile": {"userId": "LiSi", "name": "李四"},
    }
    left = expires_at - house.clock()
    assert timedelta(minutes=9, seconds=50) < left <= timedelta(minutes=10)
    assert await User.all().count() == await Session.all().count() == 0
    [kept] = await BindingTicket.all().values()
    assert kept["digest"] == digests.of(text)
    assert text not in str(kept)
    assert len(text) >= 43  # 256 bits, in base64.
    event = await last_event(action="login.binding_required")
    assert (event.rule, event.wecom_user_id) == ("ask_to_bind.asked", "LiSi")


async def test_whoever_is_linked_is_not_asked(house: House) -> None:
    entrance = await asking(house)
    await bind_new(entrance, await ticket(entrance))

    assert (await entrance.log_in())["resolution"] == "LINKED"


async def test_the_same_login_again_has_spent_its_code(house: House) -> None:
    """Only a session is answered again: a second ticket would be a second chance."""
    entrance = await asking(house)
    prepared = await entrance.prepared()
    await entrance.present(**prepared)

    assert refused(await entrance.present(**prepared)) == (
        "INVALID_STATE",
        "START_AGAIN",
    )


# ------------------------------------------------------------- an account there is


@pytest.mark.parametrize(
    ("method", "typed"),
    [
        ("USERNAME_PASSWORD", " aMY "),
        ("EMAIL_PASSWORD", "AMY@example.COM"),
        ("PHONE_PASSWORD", "139 0000 0001"),
        ("PHONE_PASSWORD", "+8613900000001"),
    ],
)
async def test_a_proven_account_is_bound(house: House, method: str, typed: str) -> None:
    user_id = await amy(
        house,
        email="amy@example.com",
        emailVerified=True,
        phone="13900000001",
        phoneVerified=True,
    )
    entrance = await asking(house)
    text = await ticket(entrance, "LiSi")

    result = await bind(entrance, text, typed, method=method)

    assert (result["resolution"], result["user"]["id"]) == ("BOUND", user_id)
    identity = await Identity.get()
    assert (identity.issuer, identity.subject) == (examples.HEFU, "lisi")
    assert identity.linked_by == "ASK_TO_BIND"
    assert identity.profile["name"] == "李四"
    session = await Session.get()
    assert session.identity_id == identity.id
    assert session.identity_source_id == ids.read(ids.SOURCE, entrance.source_id)
    assert await trail() == [
        ("login.binding_required", None, "ask_to_bind.asked"),
        ("identity.linked", None, "binding.bound"),
        ("login.succeeded", None, "binding.bound"),
    ]
    event = await last_event(action="login.succeeded")
    assert (event.subject_id, event.actor_id) == (user_id, user_id)
    assert (event.corp_id, event.wecom_user_id) == (examples.HEFU, "LiSi")
    assert await PasswordAttempt.all().count() == 0
    assert (await entrance.log_in("LiSi"))["resolution"] == "LINKED"


@pytest.mark.parametrize(
    ("method", "typed"),
    [
        ("EMAIL_PASSWORD", "amy@example.com"),  # Not verified.
        ("PHONE_PASSWORD", "13900000001"),
        ("EMAIL_PASSWORD", "Amy"),  # Another method's name.
        ("USERNAME_PASSWORD", "amy@example.com"),
        ("USERNAME_PASSWORD", "nobody"),
        ("USERNAME_PASSWORD", ""),
        ("USERNAME_PASSWORD", "x" * 5000),
        ("PHONE_PASSWORD", "not a number"),
    ],
)
async def test_an_account_is_named_as_the_method_says(
    house: House, method: str, typed: str
) -> None:
    await amy(house, email="amy@example.com", phone="13900000001")
    entrance = await asking(house)
    text = await ticket(entrance)
    before = await standing()

    result = await bind(entrance, text, typed, method=method)

    assert refused(result) == ("INVALID_CREDENTIALS", "SAME_REQUEST")
    event = await last_event(action="login.failed")
    assert (event.rule, event.subject_id) == ("password.no_account", None)
    assert await standing() == before


async def test_unknown_wrong_and_passwordless_are_one_answer(house: House) -> None:
    user_id = await amy(house)
    without_id = await account(house, username="without")
    entrance = await asking(house)
    text = await ticket(entrance)
    before = await standing()

    answers = [
        await bind(entrance, text, name, WRONG) for name in ("Amy", "nobody", "without")
    ]

    assert {json_without_id(answer) for answer in answers} == {
        json_without_id(answers[0])
    }
    assert refused(answers[0]) == ("INVALID_CREDENTIALS", "SAME_REQUEST")
    assert [await rule_and_subject(answer["requestId"]) for answer in answers] == [
        ("password.wrong", user_id),
        ("password.no_account", None),
        ("password.none", without_id),
    ]
    assert await standing() == before
    # The same ticket may be tried again.
    assert (await bind(entrance, text, "Amy"))["resolution"] == "BOUND"


def json_without_id(answer: Json) -> str:
    return str({**answer, "requestId": None})


async def rule_and_subject(request_id: str) -> tuple[str | None, str | None]:
    event = await last_event(request_id=request_id)
    return event.rule, event.subject_id


async def test_five_wrong_passwords_end_a_ticket_whatever_the_account(
    house: House,
) -> None:
    await amy(house)
    await account(house, username="bea", password=PASSWORD)
    entrance = await asking(house)
    text, other = await ticket(entrance), await ticket(entrance)

    for name in ("Amy", "bea", "nobody", "Amy", "somebody"):
        result = await bind(entrance, text, name, WRONG)
        assert refused(result)[0] == "INVALID_CREDENTIALS"

    assert refused(await bind(entrance, text, "Amy")) == (
        "INVALID_TICKET",
        "START_AGAIN",
    )
    assert refused(await bind_new(entrance, text))[0] == "INVALID_TICKET"
    assert (await last_event(failure="INVALID_TICKET")).rule == "ticket.exhausted"
    # Another one of the same member's is as good as new.
    assert (await bind(entrance, other, "Amy"))["resolution"] == "BOUND"


async def test_no_other_refusal_counts_against_a_ticket(house: House) -> None:
    await amy(house)
    disabled = await account(house, username="disabled", password=PASSWORD)
    await change(house, disabled, status="DISABLED")
    taken = await account(house, username="taken", password=PASSWORD)
    await link(house, taken, "LiSi")
    entrance = await asking(house, methods=["USERNAME_PASSWORD"])
    other = await asking(house)
    text = await ticket(entrance)
    for _ in range(4):
        await bind(entrance, text, "nobody", WRONG)
    before = await standing()

    for _ in range(2):
        answers = [
            await bind(entrance, text, "Amy", method="EMAIL_PASSWORD"),
            await bind(entrance, text, "disabled"),
            await bind(entrance, text, "taken"),
            await bind(other, text, "Amy"),
        ]
        assert [refused(answer) for answer in answers] == [
            ("METHOD_NOT_ALLOWED", "NEVER"),
            ("ACCOUNT_DISABLED", "NEVER"),
            ("ALREADY_LINKED", "NEVER"),
            ("INVALID_TICKET", "START_AGAIN"),
        ]

    assert await standing() == before
    assert (await bind(entrance, text, "Amy"))["resolution"] == "BOUND"


async def test_being_throttled_does_not_count_against_a_ticket(house: House) -> None:
    await amy(house)
    entrance = await asking(house, app={"allowPasswordSignIn": True})
    for _ in range(10):
        await sign_in(house, entrance.app_id, "Amy", WRONG)
    text = await ticket(entrance)

    for _ in range(6):
        result = await bind(entrance, text, "Amy")
        assert refused(result) == ("RATE_LIMITED", "SAME_REQUEST")
        assert 0 < result["retryAfter"] <= 900

    assert (await BindingTicket.get()).failures == 0
    assert (await bind_new(entrance, text))["resolution"] == "CREATED"


async def test_what_fails_of_itself_does_not_count_against_a_ticket(
    house: House,
) -> None:
    """Nobody has said that the password is wrong."""
    await amy(house)
    entrance = await asking(house)
    text = await ticket(entrance)
    input = {
        "appId": entrance.app_id,
        "ticket": text,
        "method": "USERNAME_PASSWORD",
        "account": "Amy",
        "password": PASSWORD,
    }
    query = """
        mutation($input: BindExistingAccountInput!) {
          bindExistingAccount(input: $input) { __typename }
        }
    """
    await database.fetch("ALTER TABLE password_attempts RENAME TO elsewhere")
    for _ in range(5):
        assert (await house.answer(query, {"input": input}))["errors"]
    await database.fetch("ALTER TABLE elsewhere RENAME TO password_attempts")

    assert (await bind(entrance, text, "Amy"))["resolution"] == "BOUND"


# ------------------------------------------------------------------------ tickets


async def test_no_ticket_but_a_good_one_will_do(house: House) -> None:
    await amy(house)
    entrance = await asking(house)
    used = await ticket(entrance, "LiSi")
    assert (await bind_new(entrance, used))["resolution"] == "CREATED"
    expired = await ticket(entrance)
    house.clock.advance(minutes=10)
    unknown = expired[:-43] + secrets.token_urlsafe(32)
    before = await standing()

    for text, rule in (
        (used, "ticket.used"),
        (expired, "ticket.expired"),
        (unknown, "ticket.unknown"),
        ("", "ticket.unknown"),
        ("é" * 49, "ticket.unknown"),
        ("x" * 10_000, "ticket.unknown"),
    ):
        for result in (
            await bind(entrance, text, "Amy"),
            await bind_new(entrance, text),
        ):
            assert refused(result) == ("INVALID_TICKET", "START_AGAIN"), text
            assert (await last_event(action="login.failed")).rule == rule
    assert await standing() == before


async def test_a_ticket_lives_for_ten_minutes(house: House) -> None:
    entrance = await asking(house)
    text = await ticket(entrance)
    house.clock.advance(minutes=9, seconds=50)

    assert (await bind_new(entrance, text))["resolution"] == "CREATED"


async def test_a_ticket_serves_once(house: House) -> None:
    await amy(house)
    await account(house, username="bea", password=PASSWORD)
    entrance = await asking(house)
    text = await ticket(entrance)
    await bind(entrance, text, "Amy")

    assert refused(await bind(entrance, text, "bea"))[0] == "INVALID_TICKET"
    assert await Identity.all().count() == 1


async def test_a_ticket_used_twice_at_once_binds_once(house: House) -> None:
    entrance = await asking(house)
    text = await ticket(entrance)

    results = await asyncio.gather(*(bind_new(entrance, text) for _ in range(8)))

    won = [each for each in results if each["__typename"] == "LoginSuccess"]
    lost = [refused(each)[0] for each in results if each not in won]
    assert len(won) == 1
    assert set(lost) == {"INVALID_TICKET"}
    assert await User.all().count() == await Identity.all().count() == 1
    assert await Session.all().count() == 1


# ------------------------------------------------- between the ticket and its use


async def unavailable(house: House, entrance: Entrance, what: str, on: bool) -> None:
    if what == "app disabled":
        input = {"id": entrance.app_id, "enabled": on}
        await administer(house, "update_app", input)
    if what == "source disabled":
        input = {"id": entrance.source_id, "enabled": on}
        await administer(house, "update_wecom_mobile_identity_source", input)
    if what == "dissociated":
        name = "associate_app" if on else "dissociate_app"
        input = {"appId": entrance.app_id, "identitySourceId": entrance.source_id}
        await administer(house, name, input)


@pytest.mark.parametrize(
    ("what", "code", "rule"),
    [
        ("app disabled", "APP_UNAVAILABLE", "app.disabled"),
        ("source disabled", "IDENTITY_SOURCE_UNAVAILABLE", "source.disabled"),
        ("dissociated", "IDENTITY_SOURCE_UNAVAILABLE", "source.not_associated"),
    ],
)
async def test_app_and_source_are_looked_at_when_the_ticket_is_used(
    house: House, what: str, code: str, rule: str
) -> None:
    await amy(house)
    entrance = await asking(house)
    text = await ticket(entrance)
    await unavailable(house, entrance, what, on=False)
    before = await standing()

    for result in (await bind(entrance, text, "Amy"), await bind_new(entrance, text)):
        assert refused(result) == (code, "NEVER")
        assert (await last_event(action="login.failed")).rule == rule

    assert await standing() == before
    await unavailable(house, entrance, what, on=True)
    assert (await bind(entrance, text, "Amy"))["resolution"] == "BOUND"


async def test_a_deleted_source_is_unavailable(house: House) -> None:
    entrance = await asking(house)
    text = await ticket(entrance)
    await administer(house, "delete_identity_source", {"id": entrance.source_id})

    assert refused(await bind_new(entrance, text)) == (
        "IDENTITY_SOURCE_UNAVAILABLE",
        "NEVER",
    )


async def rules(house: House, entrance: Entrance, **association: object) -> None:
    input = {"id": entrance.source_id, "accountAssociation": association}
    await administer(house, "update_wecom_mobile_identity_source", input)


async def test_a_method_may_be_allowed_no_longer(house: House) -> None:
    await amy(house)
    entrance = await asking(house)
    text = await ticket(entrance)
    await rules(house, entrance, mode="ASK_TO_BIND", bindingMethods=["EMAIL_PASSWORD"])

    result = await bind(entrance, text, "Amy")

    assert refused(result) == ("METHOD_NOT_ALLOWED", "NEVER")
    event = await last_event(action="login.failed")
    assert event.rule == "ask_to_bind.method_not_allowed"
    assert (await bind_new(entrance, text))["resolution"] == "CREATED"


async def test_a_source_may_ask_no_longer(house: House) -> None:
    await amy(house)
    entrance = await asking(house)
    text = await ticket(entrance)
    await rules(house, entrance, mode="NONE", bindingMethods=["USERNAME_PASSWORD"])
    before = await standing()

    for result in (await bind(entrance, text, "Amy"), await bind_new(entrance, text)):
        assert refused(result) == ("METHOD_NOT_ALLOWED", "NEVER")
        event = await last_event(action="login.failed")
        assert event.rule == "ask_to_bind.off"
    assert await standing() == before


# ----------------------------------------------------------- the right password


async def test_a_disabled_account_is_not_bound(house: House) -> None:
    user_id = await amy(house)
    await change(house, user_id, status="DISABLED")
    entrance = await asking(house)
    text = await ticket(entrance)
    before = await standing()

    assert refused(await bind(entrance, text, "Amy", WRONG))[0] == "INVALID_CREDENTIALS"
    assert refused(await bind(entrance, text, "Amy")) == ("ACCOUNT_DISABLED", "NEVER")
    event = await last_event(failure="ACCOUNT_DISABLED")
    assert (event.rule, event.subject_id) == ("binding.account_disabled", user_id)
    assert await standing() == before


async def test_an_account_that_holds_a_member_of_this_corp_is_not_bound(
    house: House,
) -> None:
    user_id = await amy(house)
    await link(house, user_id, "LiSi")
    entrance = await asking(house)
    text = await ticket(entrance)
    before = await standing()

    assert refused(await bind(entrance, text, "Amy")) == ("ALREADY_LINKED", "NEVER")
    assert (await last_event(failure="ALREADY_LINKED")).rule == (
        "binding.holds_this_corp"
    )
    assert await standing() == before


async def test_a_member_who_was_linked_meanwhile_is_not_bound(house: House) -> None:
    await amy(house)
    entrance = await asking(house)
    texts = [await ticket(entrance) for _ in range(2)]
    await link(house, await account(house), "ZhangSan")
    before = await standing()

    for result in (
        await bind(entrance, texts[0], "Amy"),
        await bind_new(entrance, texts[1]),
    ):
        assert refused(result) == ("ALREADY_LINKED", "NEVER")
        event = await last_event(action="login.failed")
        assert event.rule == "identity.linked_meanwhile"
    assert await standing() == before


async def test_an_account_of_another_corp_is_bound(house: House) -> None:
    """Its password proves more than a field that happens to be the same."""
    user_id = await amy(house)
    await link(house, user_id, "maria", agent=examples.OTHER_CORP_AGENT)
    entrance = await asking(house)

    result = await bind(entrance, await ticket(entrance), "Amy")

    assert (result["resolution"], result["user"]["id"]) == ("BOUND", user_id)


async def test_two_members_binding_one_account_at_once_end_in_one_link(
    house: House,
) -> None:
    await amy(house)
    entrance = await asking(house)
    texts = [await ticket(entrance, userid) for userid in ("zhangsan", "LiSi")]

    results = await asyncio.gather(*(bind(entrance, text, "Amy") for text in texts))

    told = {result.get("resolution") or result.get("code") for result in results}
    assert told == {"BOUND", "ALREADY_LINKED"}
    assert await Identity.all().count() == await Session.all().count() == 1


async def test_a_password_of_older_parameters_is_hashed_anew(house: House) -> None:
    from argon2 import PasswordHasher  # noqa: PLC0415

    user_id = await amy(house)
    cheap = PasswordHasher(time_cost=1, memory_cost=8192).hash(PASSWORD)
    await User.all().update(password_hash=cheap)
    entrance = await asking(house)

    assert (await bind(entrance, await ticket(entrance), "Amy"))["user"][
        "id"
    ] == user_id

    assert (await stored(user_id)).password_hash not in {cheap, None}
    other = await asking(house, app={"allowPasswordSignIn": True})
    assert token_of(await sign_in(house, other.app_id, "Amy"))


# ------------------------------------------------------------------ a new account


async def test_a_new_account_is_bound(house: House) -> None:
    entrance = await asking(house)
    text = await ticket(entrance, "LiSi")

    result = await bind_new(entrance, text)

    assert result["resolution"] == "CREATED"
    assert result["user"] | {"id": None} == {
        "id": None,
        "username": None,
        "displayName": "李四",
    }
    assert (await Identity.get()).linked_by == "CREATED"
    user = await User.get()
    assert (user.email, user.phone, user.external_id) == (None, None, None)
    assert await trail() == [
        ("login.binding_required", None, "ask_to_bind.asked"),
        ("identity.linked", None, "creation.allowed"),
        ("login.succeeded", None, "creation.allowed"),
    ]


@pytest.mark.parametrize("what", ["login-only", "sign-up off"])
async def test_whether_a_new_account_may_be_is_asked_anew(
    house: House, what: str
) -> None:
    entrance = await asking(house)
    asked = await entrance.log_in()
    assert asked["canCreateAccount"]
    if what == "login-only":
        input = {"id": entrance.source_id, "loginOnly": True}
        await administer(house, "update_wecom_mobile_identity_source", input)
    if what == "sign-up off":
        input = {"id": entrance.app_id, "allowSignUp": False}
        await administer(house, "update_app", input)
    before = await standing()

    result = await bind_new(entrance, asked["ticket"])

    assert refused(result) == ("ACCOUNT_NOT_FOUND", "NEVER")
    event = await last_event(failure="ACCOUNT_NOT_FOUND")
    assert event.rule in {"creation.login_only", "creation.sign_up_off"}
    assert await standing() == before
