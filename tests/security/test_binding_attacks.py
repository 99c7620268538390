"""
Attacks on binding, each of which has happened to somebody.

Every one ends with the victim's account as it was, and the attacker outside.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import pytest

from models import Identity, PasswordAttempt, Session, User, ids
from tests.house import Entrance, House, Json, Pkce
from tests.operations import (
    PASSWORD,
    account,
    administer,
    asking,
    bind,
    bind_new,
    change,
    come,
    link,
    link_own,
    matching,
    present_link,
    refused,
    run,
    sign_in,
    standing,
    start_link,
    stored,
    ticket,
    token_of,
)
from wecom.sandbox import examples

WRONG = "a wrong guess at it"
OLD = examples.OLD_AGENT
THERE = examples.OTHER_CORP_AGENT


# ------------------------------------------- addresses that are somebody else's


async def test_an_unverified_mailbox_registered_beforehand_catches_no_link(
    house: House,
) -> None:
    """
    Pre-hijacking (Sudhodanan and Paverd, USENIX Security 2022): the attacker makes an
    account with the victim's address, never verifies it, and waits for the victim's
    first login through an identity provider to be merged into it.
    """
    trap = await account(
        house,
        username="trap",
        password=PASSWORD,
        email="zhangsan@example.com",
        phone="13800000001",
    )
    entrance = await matching(house, "EMAIL", "PHONE")

    victim = await come(entrance)

    assert victim["resolution"] == "CREATED"
    assert victim["user"]["id"] != trap
    assert await Identity.filter(user_id=ids.read(ids.USER, trap)).count() == 0


async def test_an_unverified_mailbox_of_the_attackers_proves_nothing(
    house: House,
) -> None:
    """
    The same the other way about: what WeCom tells is copied nowhere, so a member whose
    profile names the victim's mailbox neither signs in by it nor is matched by it.
    """
    house.wecom.person("LiSi").email = "victim@example.com"
    entrance = await matching(house, "EMAIL", app={"allowPasswordSignIn": True})
    attacker = await come(entrance, "LiSi")
    user = await stored(attacker["user"]["id"])
    assert (user.email, user.verified_email) == (None, None)

    victim = await account(
        house, email="victim@example.com", emailVerified=True, password=PASSWORD
    )

    signed_in = await sign_in(house, entrance.app_id, "victim@example.com")
    assert signed_in["user"]["id"] == victim != attacker["user"]["id"]


async def test_a_mailbox_given_by_a_wecom_administrator_opens_one_account_at_most(
    house: House,
) -> None:
    """
    An administrator of WeCom may type any mailbox into a profile, with no proof
    (nOAuth, Descope 2023: the same of Entra ID). So a
    match wants an account that is not another member's of this corp already.
    """
    mail = {"email": "victim@example.com", "emailVerified": True}
    victim = await account(house, **mail)
    await link(house, victim, "zhangsan")
    house.wecom.person("LiSi").email = "Victim@Example.com"
    entrance = await matching(house, "EMAIL")
    before = await standing()

    assert refused(await come(entrance, "LiSi")) == ("ALREADY_LINKED", "NEVER")
    assert await standing() == before


async def test_a_mailbox_of_another_corps_member_opens_nothing(house: House) -> None:
    """nOAuth across tenants: one tenant's administrator, another tenant's account."""
    mail = {"email": "victim@example.com", "emailVerified": True}
    victim = await account(house, **mail)
    await link(house, victim, "maria", agent=THERE)
    house.wecom.person("LiSi").biz_mail = "victim@example.com"
    entrance = await matching(house, "EMAIL")
    before = await standing()

    assert refused(await come(entrance, "LiSi")) == ("ACCOUNT_CONFLICT", "NEVER")
    assert await standing() == before


@pytest.mark.parametrize("role", ["VIEWER", "ADMIN", "OWNER"])
@pytest.mark.parametrize("across", [True, False])
async def test_a_mailbox_of_an_administrator_of_hefu_opens_nothing(
    house: House, role: str, across: bool
) -> None:
    """
    Whoever may write a mailbox into a profile of WeCom would be an administrator here:
    a help desk that edits profiles would own every app.
    """
    await account(
        house,
        role=role,
        username="lisi",
        externalId="lisi",
        email="boss@example.com",
        emailVerified=True,
        phone="13911111111",
        phoneVerified=True,
    )
    person = house.wecom.person("LiSi")
    person.email, person.mobile = "boss@example.com", "13911111111"
    before = await standing()

    for field in ("EMAIL", "PHONE", "USERNAME", "EXTERNAL_ID"):
        entrance = await matching(house, field, across=across)
        assert refused(await come(entrance, "LiSi")) == ("ACCOUNT_CONFLICT", "NEVER")
    assert await standing() == before


@pytest.mark.parametrize("empty", ["", " ", "\u3000", "null", "0"])
async def test_an_empty_field_matches_no_empty_one(house: House, empty: str) -> None:
    """
    `WHERE email = ''`, or None == None: the first member without a mailbox became
    whichever account had none either.
    """
    await account(house, username="without")
    await account(house, displayName="without any")
    person = house.wecom.person("zhangsan")
    person.email = person.biz_mail = person.mobile = empty
    entrance = await matching(house, "EMAIL", "PHONE")

    result = await come(entrance)

    if empty in {"null", "0"}:  # That is told, if nonsense, and nobody's.
        assert result["resolution"] == "CREATED"
        return
    assert refused(result) == ("PROFILE_INSUFFICIENT", "NEVER")
    assert await Identity.all().count() == 0


async def test_a_second_corp_with_the_same_userid_is_somebody_else(
    house: House,
) -> None:
    """
    Clients that key on the userid alone log corp B's `zhangsan` in as corp A's. By an
    account that holds corp A's member, the userid of corp B does not match either.
    """
    user_id = await account(house, username="zhangsan")
    here = await matching(house, "USERNAME")
    assert (await come(here))["user"]["id"] == user_id
    there = await matching(house, "USERNAME", agent=THERE)
    before = await standing()

    assert refused(await come(there, agent=THERE)) == ("ACCOUNT_CONFLICT", "NEVER")
    assert await standing() == before


# ---------------------------------------------------------------------- tickets


@pytest.mark.parametrize("what", ["app", "source", "association"])
async def test_a_ticket_does_not_outlive_its_entrance(house: House, what: str) -> None:
    """
    Shut in an emergency, a door must be shut for those in the corridor too: tickets
    of a source that was disabled because its corp was taken over still bound.
    """
    await account(house, username="amy", password=PASSWORD)
    entrance = await asking(house)
    text = await ticket(entrance)
    changes: dict[str, tuple[str, Json]] = {
        "app": ("update_app", {"id": entrance.app_id, "enabled": False}),
        "source": (
            "update_wecom_mobile_identity_source",
            {"id": entrance.source_id, "enabled": False},
        ),
        "association": (
            "dissociate_app",
            {"appId": entrance.app_id, "identitySourceId": entrance.source_id},
        ),
    }
    await administer(house, *changes[what])
    before = await standing()

    for result in (await bind(entrance, text, "amy"), await bind_new(entrance, text)):
        code = "APP_UNAVAILABLE" if what == "app" else "IDENTITY_SOURCE_UNAVAILABLE"
        assert refused(result) == (code, "NEVER")
    assert await standing() == before


async def test_a_ticket_of_one_app_opens_no_other(house: House) -> None:
    """
    Token substitution: an app of the attacker's collects tickets of people who log in
    to it, and presents them to the app that is worth something.
    """
    await account(house, username="amy", password=PASSWORD)
    entrance = await asking(house)
    text = await ticket(entrance)
    other_app = await house.app()
    await house.associate(other_app, entrance.source_id)
    elsewhere = Entrance(house, other_app, entrance.source_id, entrance.identifier)
    before = await standing()

    for result in (await bind(elsewhere, text, "amy"), await bind_new(elsewhere, text)):
        assert refused(result) == ("INVALID_TICKET", "START_AGAIN")
    assert await standing() == before


async def test_a_ticket_binds_by_the_rules_of_its_own_source(house: House) -> None:
    """A lax source beside a strict one: proof for the one was taken for the other."""
    await account(house, username="amy", password=PASSWORD)
    strict = await asking(house, methods=["EMAIL_PASSWORD"], loginOnly=True)
    lax_id = await house.source(
        strict.app_id,
        accountAssociation={
            "mode": "ASK_TO_BIND",
            "bindingMethods": ["USERNAME_PASSWORD"],
        },
        identifier="lax",
    )
    assert lax_id
    text = await ticket(strict)
    before = await standing()

    assert refused(await bind(strict, text, "amy")) == ("METHOD_NOT_ALLOWED", "NEVER")
    assert refused(await bind_new(strict, text)) == ("ACCOUNT_NOT_FOUND", "NEVER")
    assert await standing() == before


async def test_proof_for_one_identity_binds_no_other(house: House) -> None:
    """
    A ticket's member is in the ticket: whoever logs in as `LiSi` and knows a password
    links `LiSi`, however the requests of two logins are mixed.
    """
    user_id = await account(house, username="amy", password=PASSWORD)
    entrance = await asking(house)
    victims = await ticket(entrance, "zhangsan")
    attackers = await ticket(entrance, "LiSi")

    await bind(entrance, attackers, "amy")

    identity = await Identity.get()
    assert (identity.subject, ids.show(ids.USER, identity.user_id)) == ("lisi", user_id)
    # The victim's ticket is the victim's still, and binds to nobody who is taken.
    assert refused(await bind(entrance, victims, "amy")) == ("ALREADY_LINKED", "NEVER")
    assert (await bind_new(entrance, victims))["resolution"] == "CREATED"


@pytest.mark.parametrize(
    "claim",
    [
        {"userId": "zhangsan"},
        {"wecomUserId": "zhangsan"},
        {"subject": "zhangsan"},
        {"openid": "x"},
        {"profile": {"userId": "zhangsan"}},
        {"email": "zhangsan@example.com"},
    ],
)
@pytest.mark.parametrize("operation", ["wecomMobileLogin", "bindNewAccount"])
async def test_an_identity_that_the_client_sends_is_not_believed(
    house: House, operation: str, claim: Json
) -> None:
    """
    "Sign in with Apple", 2020: the server signed whatever mailbox the client named.
    Here there is no field to name one in; beside good input it is refused whole.
    """
    entrance = await asking(house)
    given: Json = {"appId": entrance.app_id, "ticket": await ticket(entrance, "LiSi")}
    if operation == "wecomMobileLogin":
        prepared = await entrance.prepared("LiSi")
        given = {
            "appId": entrance.app_id,
            "identitySource": entrance.identifier,
            **prepared,
        }
    type_ = operation[0].upper() + operation[1:] + "Input!"
    query = f"mutation($i: {type_}) {{ {operation}(input: $i) {{ __typename }} }}"
    before = await standing()

    answer = await house.answer(query, {"i": {**given, **claim}})

    assert answer.get("data") is None
    assert answer["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    assert await standing() == before


# ------------------------------------------------------------------------ states


async def test_a_login_that_an_attacker_began_logs_no_victim_in(house: House) -> None:
    """
    Login CSRF (RFC 6819, 4.4.1.8): the victim is made to finish the attacker's login,
    or the attacker finishes the victim's. The verifier stays on the device that began.
    """
    entrance = await house.entrance()
    attackers, victims = Pkce(), Pkce()
    fed = await entrance.start(attackers.challenge)
    code = house.wecom.approve("zhangsan")

    on_the_victims_phone = await entrance.present(
        code, state=fed["state"], codeVerifier=victims.verifier
    )
    without = await entrance.present(code, state=fed["state"])

    assert refused(on_the_victims_phone) == ("INVALID_STATE", "START_AGAIN")
    assert refused(without) == ("INVALID_STATE", "START_AGAIN")
    assert not house.wecom.sandbox.calls
    assert await Session.all().count() == 0


async def test_a_link_that_an_attacker_began_links_nothing_to_a_victim(
    house: House,
) -> None:
    """
    Account linking CSRF (RFC 6819, 4.4.1.8; Facebook login at many sites): the victim's
    session is made to present the *attacker's* WeCom code, and from then on the
    attacker logs in to the victim's account.
    """
    here = await house.entrance()
    source_id = await house.source(here.app_id, agent=THERE, identifier="there")
    there = Entrance(house, here.app_id, source_id, "there")
    victim = token_of(await here.log_in("zhangsan"))
    attacker = token_of(await here.log_in("LiSi"))
    pkce = Pkce()
    fed = await start_link(there, attacker, pkce)
    code = house.wecom.approve("maria", THERE)
    before = await standing()

    result = await present_link(
        there, victim, code=code, state=fed["state"], codeVerifier=pkce.verifier
    )

    assert refused(result) == ("INVALID_STATE", "START_AGAIN")
    assert await standing() == before


# ----------------------------------------------------------------- stolen tokens


async def test_a_stolen_token_sets_no_first_password_and_links_nothing(
    house: House,
) -> None:
    """
    An access token of fifteen minutes must not become a way in for ever: whoever finds
    one, in a log or on a phone, is not who logged in a moment ago.
    """
    entrance = await house.entrance()
    stolen = token_of(await entrance.log_in())
    house.clock.advance(minutes=10)
    before = await standing()
    changed: Json = {"newPassword": "a way in for the thief"}
    link: Json = {"identitySource": entrance.identifier, "codeChallenge": "x" * 43}

    for operation, input in (
        ("changeMyPassword", changed),
        ("startWecomMobileLink", link),
    ):
        type_ = operation[0].upper() + operation[1:] + "Input!"
        query = f"mutation($i: {type_}) {{ {operation}(input: $i) {{ __typename }} }}"
        answer = await house.answer(query, {"i": input}, token=stolen)
        extensions = answer["errors"][0]["extensions"]
        assert extensions["code"] == "UNAUTHENTICATED"
        assert extensions["reason"] == "REAUTHENTICATE"
    assert await standing() == before


# ---------------------------------------------------------------------- guessing


async def test_guessing_locks_nobody_out(house: House) -> None:
    """
    Lock-out as an attack: ten wrong guesses an hour kept people out of their own
    accounts. WeCom goes on, a ticket too, and a password from another address.
    """
    entrance = await house.entrance(app={"allowPasswordSignIn": True})
    victim = (await entrance.log_in("zhangsan"))["user"]["id"]
    await change(house, victim, username="victim")
    await administer(house, "set_user_password", {"id": victim, "password": PASSWORD})
    for _ in range(12):
        await sign_in(house, entrance.app_id, "victim", WRONG)

    assert refused(await sign_in(house, entrance.app_id, "victim"))[0] == "RATE_LIMITED"
    assert (await entrance.log_in("zhangsan"))["resolution"] == "LINKED"
    asked = await asking(house)
    assert (await bind_new(asked, await ticket(asked, "LiSi")))["resolution"] == (
        "CREATED"
    )


def without_request_id(result: Json) -> Json:
    return {**result, "requestId": None, "retryAfter": bool(result["retryAfter"])}


async def test_who_exists_is_told_neither_by_answer_nor_by_throttling(
    house: House,
) -> None:
    """
    Twelve guesses at each name, of an account, of one without a password, of nobody:
    the same answers in the same order, so nobody learns who is here.
    """
    await account(house, username="there", password=PASSWORD)
    await account(house, username="without")
    entrance = await asking(house, app={"allowPasswordSignIn": True})

    async def told(name: str) -> list[Json]:
        text = await ticket(entrance)
        signing = [await sign_in(house, entrance.app_id, name, WRONG) for _ in range(8)]
        binding = [await bind(entrance, text, name, WRONG) for _ in range(4)]
        return [without_request_id(each) for each in signing + binding]

    there, without, nobody = [
        await told(name) for name in ("there", "without", "nobody")
    ]

    assert there == without == nobody
    assert [each["code"] for each in there] == (
        ["INVALID_CREDENTIALS"] * 10 + ["RATE_LIMITED"] * 2
    )


async def test_who_exists_is_not_told_by_the_work_that_is_done(house: House) -> None:
    """
    Timing (OWASP, "authentication responses"): the answer for a name that nobody has
    came a hundred milliseconds sooner. Every guess computes one hash, of one price.

    What is compared is processor time in the hashing threads, not the wall's.
    """
    await account(house, username="there", password=PASSWORD)
    await account(house, username="without")
    app_id = await house.app(allowPasswordSignIn=True)
    spent: dict[str, list[float]] = {}

    for _ in range(4):
        for name in ("there", "without", "nobody"):
            before = time.process_time()
            await sign_in(house, app_id, name, WRONG)
            spent.setdefault(name, []).append(time.process_time() - before)

    median = {name: statistics.median(each) for name, each in spent.items()}
    # A skipped hash costs a tenth of the others or less.
    assert min(median.values()) > max(median.values()) / 2, median
    assert await PasswordAttempt.all().count() == 12


async def test_an_account_whose_password_is_unknown_hears_nothing_of_its_state(
    house: House,
) -> None:
    """Disabled, linked, another corp's: all of it only after the right password."""
    names = ["disabled", "linked", "nobody"]
    disabled = await account(house, username="disabled", password=PASSWORD)
    await change(house, disabled, status="DISABLED")
    linked = await account(house, username="linked", password=PASSWORD)
    await link(house, linked, "LiSi")
    entrance = await asking(house, app={"allowPasswordSignIn": True})
    text = await ticket(entrance)

    answers: list[Any] = [await bind(entrance, text, name, WRONG) for name in names]
    answers += [await sign_in(house, entrance.app_id, name, WRONG) for name in names]

    told = [without_request_id(each) for each in answers]
    assert all(each == told[0] for each in told)


async def test_a_session_of_a_victim_is_no_use_to_an_attackers_member(
    house: House,
) -> None:
    """A member who is somebody's already is not moved, by whoever holds a session."""
    entrance = await house.entrance()
    victim = await entrance.log_in("zhangsan")
    attacker = await entrance.log_in("LiSi")
    before = await standing()

    result = await link_own(entrance, token_of(attacker), "zhangsan")
    stolen = await run(
        house,
        "unlink_my_identity",
        {"id": ids.show(ids.IDENTITY, (await Identity.get(subject="zhangsan")).id)},
        token=token_of(attacker),
    )

    assert refused(result) == ("ALREADY_LINKED", "NEVER")
    assert [each["code"] for each in stolen["errors"]] == ["NOT_FOUND"]
    assert await standing() == before
    assert (await entrance.log_in("zhangsan"))["user"] == victim["user"]
    assert await User.all().count() == 2
