"""Linking and unlinking, by people and by administrators: binding rules 6 and 7."""

from __future__ import annotations

import asyncio

import pytest

from models import AuditEvent, Identity, IdentitySource, Role, Session, User, ids
from tests.house import Entrance, House, Json, Pkce
from tests.operations import (
    PASSWORD,
    account,
    administer,
    change,
    last_event,
    link,
    link_own,
    present_link,
    problems,
    refused,
    run,
    sign_in,
    standing,
    start_link,
    token_of,
    trail,
)
from wecom.agent import Agent
from wecom.sandbox import examples

THERE = examples.OTHER_CORP_AGENT


TYPES = [("id", "ID"), ("password", "String")]


async def two_corps(house: House) -> tuple[Entrance, Entrance]:
    """One app, with a source of each of two corps."""
    here = await house.entrance(app={"allowPasswordSignIn": True})
    source_id = await house.source(here.app_id, agent=THERE, identifier="there")
    return here, Entrance(house, here.app_id, source_id, "there")


async def identity_of(subject: str, issuer: str = examples.HEFU) -> str:
    found = await Identity.get(subject=subject.casefold(), issuer=issuer)
    return ids.show(ids.IDENTITY, found.id)


async def unlink(house: House, token: str, identity_id: str) -> Json:
    return await run(house, "unlink_my_identity", {"id": identity_id}, token=token)


# ------------------------------------------------------------------------ linking


async def test_a_member_is_linked_to_ones_own_account(house: House) -> None:
    here, there = await two_corps(house)
    mine = await here.log_in("zhangsan")

    result = await link_own(there, token_of(mine), "maria", agent=THERE)

    assert result["__typename"] == "LinkSuccess"
    assert result["user"]["id"] == mine["user"]["id"]
    assert result["identity"] | {"id": None} == {
        "id": None,
        "issuer": examples.NORTHWIND,
        "subject": "maria",
        "linkedBy": "LINKED_BY_USER",
    }
    event = await last_event(action="identity.linked")
    assert (event.rule, event.subject_id) == ("linking.linked", mine["user"]["id"])
    assert (event.corp_id, event.wecom_user_id) == (examples.NORTHWIND, "maria")
    assert event.actor_id == mine["user"]["id"]
    later = await there.log_in("maria", agent=THERE)
    assert (later["resolution"], later["user"]) == ("LINKED", mine["user"])


async def test_linking_disproves_nothing_about_the_agent(house: House) -> None:
    """As logging in: only a test, or other settings, clear what a test has found."""
    here, there = await two_corps(house)
    mine = await here.log_in("zhangsan")
    await IdentitySource.filter(id=ids.read(ids.SOURCE, there.source_id)).update(
        problem_code=301002, problem_since=house.clock()
    )

    await link_own(there, token_of(mine), "maria", agent=THERE)

    source = await IdentitySource.get(id=ids.read(ids.SOURCE, there.source_id))
    assert source.problem_code == 301002


async def test_refusals_of_two_people_are_two_events(house: House) -> None:
    entrance = await house.entrance()
    for userid in ("zhangsan", "lisi"):
        token = token_of(await entrance.log_in(userid))
        for _ in range(2):
            await present_link(
                entrance, token, code="x", state="forged", codeVerifier="x" * 43
            )

    told = await AuditEvent.filter(action="link.failed").order_by("id")
    assert [event.count for event in told] == [2, 2]
    assert len({event.actor_id for event in told}) == 2


async def test_linking_what_is_linked_already_changes_nothing(house: House) -> None:
    here = await house.entrance()
    mine = await here.log_in("zhangsan")
    before = await standing()

    result = await link_own(here, token_of(mine), "zhangsan")

    assert result["__typename"] == "LinkSuccess"
    assert result["identity"]["linkedBy"] == "CREATED"
    event = await last_event(action="identity.link_confirmed")
    assert event.rule == "linking.linked_already"
    assert await standing() == before


async def test_somebody_elses_member_is_not_linked(house: House) -> None:
    here, there = await two_corps(house)
    await there.log_in("maria", agent=THERE)
    mine = await here.log_in("zhangsan")
    before = await standing()

    result = await link_own(there, token_of(mine), "maria", agent=THERE)

    assert refused(result) == ("ALREADY_LINKED", "NEVER")
    event = await last_event(action="link.failed")
    assert (event.rule, event.failure) == ("linking.somebody_elses", "ALREADY_LINKED")
    assert event.subject_id == mine["user"]["id"]
    assert event.wecom_user_id == "maria"
    assert event.request_id == result["requestId"]
    assert await standing() == before


async def test_an_account_holds_one_member_of_a_corp(house: House) -> None:
    here = await house.entrance()
    mine = await here.log_in("zhangsan")
    before = await standing()

    result = await link_own(here, token_of(mine), "LiSi")

    assert refused(result) == ("ALREADY_LINKED", "NEVER")
    assert (await last_event(action="link.failed")).rule == "linking.holds_this_corp"
    assert await standing() == before


async def test_two_people_linking_one_member_at_once_end_in_one_link(
    house: House,
) -> None:
    here, there = await two_corps(house)
    tokens = [token_of(await here.log_in(userid)) for userid in ("zhangsan", "LiSi")]

    results = await asyncio.gather(
        *(link_own(there, token, "maria", agent=THERE) for token in tokens)
    )

    told = {result.get("code", result["__typename"]) for result in results}
    assert told == {"LinkSuccess", "ALREADY_LINKED"}
    assert await Identity.filter(issuer=examples.NORTHWIND).count() == 1


async def test_the_source_must_serve_the_sessions_app(house: House) -> None:
    here, there = await two_corps(house)
    elsewhere = await house.entrance(agent=THERE)
    mine = token_of(await here.log_in())

    result = await link_own(elsewhere, mine, "maria", agent=THERE)

    assert refused(result) == ("IDENTITY_SOURCE_UNAVAILABLE", "NEVER")
    begun = await start_link(there, mine, pkce := Pkce())
    await administer(
        house,
        "dissociate_app",
        {"appId": there.app_id, "identitySourceId": there.source_id},
    )
    code = house.wecom.approve("maria", THERE)
    late = await present_link(
        there, mine, code=code, state=begun["state"], codeVerifier=pkce.verifier
    )
    assert refused(late) == ("IDENTITY_SOURCE_UNAVAILABLE", "NEVER")
    assert not house.wecom.sandbox.world.spent & {code}


async def test_only_a_state_of_the_same_session_links(house: House) -> None:
    here, there = await two_corps(house)
    mine = token_of(await here.log_in("zhangsan"))
    second = token_of(await here.log_in("zhangsan"))
    pkce = Pkce()
    good = (await start_link(there, mine, pkce))["state"]
    for_login = (await there.start(pkce.challenge))["state"]
    elsewhere = (await start_link(here, mine, pkce))["state"]
    code = house.wecom.approve("maria", THERE)
    before = await standing()

    async def present(token: str, state: str, verifier: str = pkce.verifier) -> Json:
        return await present_link(
            there, token, code=code, state=state, codeVerifier=verifier
        )

    for refusal in (
        await present(second, good),
        await present(mine, for_login),
        await present(mine, elsewhere),
        await present(mine, good, "x" * 43),
        await present(mine, "forged"),
        await present(mine, ""),
    ):
        assert refused(refusal) == ("INVALID_STATE", "START_AGAIN")
    assert await standing() == before
    # Nor does a state of a link log anybody in.
    stolen = await there.present(code, state=good, codeVerifier=pkce.verifier)
    assert refused(stolen) == ("INVALID_STATE", "START_AGAIN")

    assert (await present(mine, good))["__typename"] == "LinkSuccess"
    assert refused(await present(mine, good)) == ("INVALID_STATE", "START_AGAIN")


async def test_what_wecom_says_counts_at_linking_too(house: House) -> None:
    here, there = await two_corps(house)
    mine = token_of(await here.log_in())
    before = await standing()

    async def present(code: str) -> Json:
        begun = await start_link(there, mine, pkce := Pkce())
        return await present_link(
            there, mine, code=code, state=begun["state"], codeVerifier=pkce.verifier
        )

    assert refused(await present("")) == ("INVALID_CODE", "START_AGAIN")
    assert refused(await present("unknown")) == ("INVALID_CODE", "START_AGAIN")
    outsider = house.wecom.approve_outsider(THERE)
    assert refused(await present(outsider)) == ("NOT_A_MEMBER", "NEVER")
    house.wecom.person("maria", examples.NORTHWIND).status = 5
    barred = house.wecom.approve("maria", THERE)
    assert refused(await present(barred)) == ("MEMBER_NOT_ALLOWED", "NEVER")
    assert await standing() == before


async def test_what_wecom_surely_did_not_see_may_be_sent_again(house: House) -> None:
    here, there = await two_corps(house)
    mine = token_of(await here.log_in())
    begun = await start_link(there, mine, pkce := Pkce())
    given = {
        "code": house.wecom.approve("maria", THERE),
        "state": begun["state"],
        "codeVerifier": pkce.verifier,
    }
    house.wecom.fault("errcode", endpoint="gettoken", errcode=45009)

    first = await present_link(there, mine, **given)

    assert refused(first) == ("WECOM_UNAVAILABLE", "SAME_REQUEST")
    assert (await present_link(there, mine, **given))["__typename"] == "LinkSuccess"


async def test_linking_and_unlinking_want_a_login_of_the_last_ten_minutes(
    house: House,
) -> None:
    here, there = await two_corps(house)
    mine = token_of(await here.log_in())
    identity_id = await identity_of("zhangsan")
    begun = await start_link(there, mine, pkce := Pkce())
    house.clock.advance(minutes=9, seconds=50)
    assert (await start_link(there, mine, pkce))["__typename"] != "LoginFailure"
    assert problems(await unlink(house, mine, identity_id)) == [
        ("input.id", "LAST_LOGIN_METHOD")
    ]
    house.clock.advance(seconds=10)
    before = await standing()
    given = {
        "identitySource": "there",
        "code": house.wecom.approve("maria", THERE),
        "state": begun["state"],
        "codeVerifier": pkce.verifier,
    }

    for name, input in (
        (
            "startWecomMobileLink",
            {"identitySource": "there", "codeChallenge": "x" * 43},
        ),
        ("linkWecomMobile", given),
        ("unlinkMyIdentity", {"id": identity_id}),
    ):
        type_ = name[0].upper() + name[1:] + "Input!"
        query = (
            f"mutation($input: {type_}) {{ {name}(input: $input) {{ __typename }} }}"
        )
        answer = await house.answer(query, {"input": input}, token=mine)
        [error] = answer["errors"]
        assert error["extensions"]["code"] == "UNAUTHENTICATED"
        assert error["extensions"]["reason"] == "REAUTHENTICATE"
    assert await standing() == before
    told = await AuditEvent.filter(rule="session.not_fresh").order_by("id")
    assert [(event.action, event.failure, event.count) for event in told] == [
        ("link.failed", None, 2),
        ("identity.unlink_failed", None, 1),
    ]


@pytest.mark.parametrize(
    ("credential", "code"), [("none", "UNAUTHENTICATED"), ("key", "FORBIDDEN")]
)
async def test_linking_is_for_people(house: House, credential: str, code: str) -> None:
    token = await house.key() if credential == "key" else None
    query = (
        "mutation($input: UnlinkMyIdentityInput!)"
        " { unlinkMyIdentity(input: $input) { user { id } } }"
    )

    answer = await house.answer(query, {"input": {"id": "idn_x"}}, token=token)

    assert answer["errors"][0]["extensions"]["code"] == code


async def test_a_session_that_ends_while_wecom_is_asked_links_nothing(
    house: House,
) -> None:
    """Whoever notices the thief and signs out everywhere must not be too late."""
    here, there = await two_corps(house)
    mine = await here.log_in()
    begun = await start_link(there, token_of(mine), pkce := Pkce())
    code = house.wecom.approve("maria", THERE)
    house.wecom.fault("delay", endpoint="getuserinfo", seconds=1)
    query = (
        "mutation($input: LinkWecomMobileInput!)"
        " { linkWecomMobile(input: $input) { __typename } }"
    )
    given = {
        "identitySource": "there",
        "code": code,
        "state": begun["state"],
        "codeVerifier": pkce.verifier,
    }

    linking = asyncio.create_task(
        house.answer(query, {"input": given}, token=token_of(mine))
    )
    while not house.wecom.calls("getuserinfo") > 1:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await Session.all().update(revoked_at=house.clock())

    answer = await linking
    assert answer["errors"][0]["extensions"]["reason"] == "REVOKED"
    assert await Identity.all().count() == 1


# ---------------------------------------------------------------------- unlinking


@pytest.mark.parametrize(
    "deed",
    [
        "unlinkMyIdentity(input: { id: $id }) { user { id } }",
        """changeMyPassword(input: {
            currentPassword: $password, newPassword: "quite another 81 horse"
        }) { user { id } }""",
    ],
)
async def test_a_session_that_was_ended_vouches_for_nothing_more(
    house: House, deed: str
) -> None:
    """Not in the same request either, whose caller was let in before."""
    entrance = await house.entrance(app={"allowPasswordSignIn": True})
    user_id = await account(house, username="Amy", password=PASSWORD)
    given = {"id": await link(house, user_id, "zhangsan"), "password": PASSWORD}
    token = token_of(await sign_in(house, entrance.app_id, "Amy"))
    named = " ".join(f"${name}: {type}!" for name, type in TYPES if f"${name}" in deed)
    query = f"mutation({named}) {{ signOut {{ session {{ id }} }} deed: {deed} }}"

    answer = await house.answer(query, given, token=token)

    [error] = answer["errors"]
    assert (error["path"], error["extensions"]["reason"]) == (["deed"], "REVOKED")
    assert await Identity.all().count() == 1
    assert token_of(await sign_in(house, entrance.app_id, "Amy"))


async def test_the_last_way_in_is_not_unlinked(house: House) -> None:
    here = await house.entrance()
    mine = await here.log_in()
    before = await standing()

    payload = await unlink(house, token_of(mine), await identity_of("zhangsan"))

    assert payload["user"] is None
    assert problems(payload) == [("input.id", "LAST_LOGIN_METHOD")]
    event = await last_event(action="identity.unlink_failed")
    assert event.rule == "identity.last_way_in"
    assert event.actor_id == mine["user"]["id"]
    assert await standing() == before


@pytest.mark.parametrize(
    ("fields", "app", "remains"),
    [
        ({"username": "amy"}, {"allowPasswordSignIn": True}, True),
        (
            {"email": "amy@example.com", "emailVerified": True},
            {"allowPasswordSignIn": True},
            True,
        ),
        (
            {"phone": "13900000001", "phoneVerified": True},
            {"allowPasswordSignIn": True},
            True,
        ),
        # Only verified addresses sign in, and a password alone names nobody.
        ({"email": "amy@example.com"}, {"allowPasswordSignIn": True}, False),
        ({}, {"allowPasswordSignIn": True}, False),
        # No app takes it.
        ({"username": "amy"}, {"allowPasswordSignIn": False}, False),
    ],
)
async def test_a_password_is_a_way_in_where_it_would_work(
    house: House, fields: Json, app: Json, remains: bool
) -> None:
    here = await house.entrance(app=app)
    user_id = (await here.log_in())["user"]["id"]
    await change(house, user_id, **fields)
    input = {"id": user_id, "password": PASSWORD}
    await administer(house, "set_user_password", input)
    mine = await here.log_in()

    payload = await unlink(house, token_of(mine), await identity_of("zhangsan"))

    assert (payload["user"] is not None) is remains
    assert problems(payload) == ([] if remains else [("input.id", "LAST_LOGIN_METHOD")])
    assert await Identity.exists() is not remains


@pytest.mark.parametrize("agent", [examples.AGENT, THERE])
async def test_a_source_that_asks_to_bind_lets_its_members_in_by_a_password(
    house: House, agent: Agent
) -> None:
    """Who is no member of its corp never gets to type one there."""
    here = await house.entrance()
    association = {"mode": "ASK_TO_BIND", "bindingMethods": ["USERNAME_PASSWORD"]}
    await house.entrance(agent=agent, accountAssociation=association)
    user_id = (await here.log_in())["user"]["id"]
    await change(house, user_id, username="amy")
    input = {"id": user_id, "password": PASSWORD}
    await administer(house, "set_user_password", input)

    mine = token_of(await here.log_in())

    payload = await unlink(house, mine, await identity_of("zhangsan"))
    if agent is examples.AGENT:
        assert payload["user"] == {"id": user_id, "identities": []}
    else:
        assert problems(payload) == [("input.id", "LAST_LOGIN_METHOD")]


async def test_another_identity_is_a_way_in_as_long_as_a_source_serves_it(
    house: House,
) -> None:
    here, there = await two_corps(house)
    mine = token_of(await here.log_in())
    await link_own(there, mine, "maria", agent=THERE)
    first = await identity_of("zhangsan")
    input = {"id": there.source_id, "enabled": False}
    await administer(house, "update_wecom_mobile_identity_source", input)
    assert problems(await unlink(house, mine, first)) == [
        ("input.id", "LAST_LOGIN_METHOD")
    ]
    input["enabled"] = True
    await administer(house, "update_wecom_mobile_identity_source", input)

    payload = await unlink(house, mine, first)

    assert payload["errors"] == []
    assert [each["subject"] for each in payload["user"]["identities"]] == ["maria"]


async def test_unlinking_ends_the_sessions_that_came_through_it(house: House) -> None:
    here, there = await two_corps(house)
    first = await here.log_in()
    await link_own(there, token_of(first), "maria", agent=THERE)
    through_maria = await there.log_in("maria", agent=THERE)

    payload = await unlink(
        house, token_of(through_maria), await identity_of("zhangsan")
    )

    assert payload["errors"] == []
    ended = await Session.filter(revoked_at__isnull=False)
    assert [ids.show(ids.SESSION, each.id) for each in ended] == [
        first["session"]["id"]
    ]
    event = await last_event(action="identity.unlinked")
    assert event.subject_id == first["user"]["id"]
    assert (event.corp_id, event.wecom_user_id) == (examples.HEFU, "zhangsan")
    event = await last_event(action="session.revoked")
    assert (event.rule, event.subject_id) == (
        "identity.unlinked",
        first["session"]["id"],
    )
    # The member is nobody's now: the next login is a first one.
    assert (await here.log_in())["resolution"] == "CREATED"


async def test_of_two_last_identities_unlinked_at_once_one_stays(house: House) -> None:
    here, there = await two_corps(house)
    mine = token_of(await here.log_in())
    await link_own(there, mine, "maria", agent=THERE)
    both = [
        await identity_of("zhangsan"),
        await identity_of("maria", examples.NORTHWIND),
    ]
    # A session that neither of them ends.
    user = await User.get()
    await change(house, ids.show(ids.USER, user.id), username="amy")
    input = {"id": ids.show(ids.USER, user.id), "password": PASSWORD}
    await administer(house, "set_user_password", input)
    token = token_of(await sign_in(house, here.app_id, "amy"))
    await User.all().update(password_hash=None)
    # A connection for each, or the one would have done before the other has opened.
    await asyncio.gather(*(unlink(house, token, "idn_x") for _ in range(4)))

    payloads = await asyncio.gather(*(unlink(house, token, id) for id in both))

    codes = sorted(str(problems(payload)) for payload in payloads)
    assert codes == ["[('input.id', 'LAST_LOGIN_METHOD')]", "[]"]
    assert await Identity.all().count() == 1


async def test_only_ones_own_identity_is_unlinked(house: House) -> None:
    here, there = await two_corps(house)
    await there.log_in("maria", agent=THERE)
    mine = await here.log_in()
    before = await standing()

    for id in (
        await identity_of("maria", examples.NORTHWIND),
        mine["user"]["id"],
        "idn_nonsense",
        ids.show(ids.IDENTITY, ids.new()),
    ):
        payload = await unlink(house, token_of(mine), id)
        assert problems(payload) == [("input.id", "NOT_FOUND")]
    assert await standing() == before


# ---------------------------------------------------------------- administrators


async def link_by(house: House, role: Role = Role.ADMIN, **input: object) -> Json:
    return await run(house, "admin/link_identity", input, token=await house.key(role))


async def test_an_administrator_links_a_member(house: House) -> None:
    user_id = await account(house, username="amy")
    entrance = await house.entrance(loginOnly=True)

    payload = await link_by(
        house, userId=user_id, identitySourceId=entrance.source_id, subject="LiSi"
    )

    assert payload["errors"] == []
    identity = payload["identity"]
    assert identity["user"] == {"id": user_id}
    assert (identity["issuer"], identity["subject"]) == (examples.HEFU, "lisi")
    assert identity["linkedBy"] == "LINKED_BY_ADMIN"
    event = await last_event(action="identity.linked")
    assert (event.subject_id, event.wecom_user_id) == (user_id, "lisi")
    assert event.actor_name == "admin"
    result = await entrance.log_in("LiSi")
    assert (result["resolution"], result["user"]["id"]) == ("LINKED", user_id)


async def test_everything_that_is_wrong_is_told_at_once(house: House) -> None:
    before = await standing()

    payload = await link_by(
        house, userId="usr_x", identitySourceId="app_x", subject="corp/zhangsan"
    )

    assert payload["identity"] is None
    assert problems(payload) == [
        ("input.subject", "INVALID_FORMAT"),
        ("input.userId", "NOT_FOUND"),
        ("input.identitySourceId", "NOT_FOUND"),
    ]
    assert await standing() == before


@pytest.mark.parametrize("subject", ["zhangsan", "LiSi", "ZHANGSAN"])
async def test_what_is_linked_already_is_not_linked_again(
    house: House, subject: str
) -> None:
    """The member is somebody's, or the account holds another one of this corp."""
    entrance = await house.entrance()
    first, second = await account(house), await account(house)
    await link(house, first, "zhangsan")
    await link(house, second, "alice.smith")
    before = await standing()

    payload = await link_by(
        house, userId=second, identitySourceId=entrance.source_id, subject=subject
    )

    assert problems(payload) == [("input.subject", "ALREADY_LINKED")]
    assert await standing() == before


@pytest.mark.parametrize("role", ["VIEWER", "ADMIN", "OWNER"])
async def test_only_an_owner_links_and_unlinks_privileged_accounts(
    house: House, role: str
) -> None:
    user_id = await account(house, role=role)
    entrance = await house.entrance()
    source_id = entrance.source_id
    input: Json = {"userId": user_id, "identitySourceId": source_id, "subject": "a"}
    before = await standing()
    assert problems(await link_by(house, **input)) == [("input.userId", "FORBIDDEN")]
    assert await standing() == before
    linked = await link_by(house, Role.OWNER, **input)
    identity_id = linked["identity"]["id"]

    payload = await run(
        house,
        "admin/unlink_identity",
        {"id": identity_id},
        token=await house.key(Role.ADMIN),
    )

    assert problems(payload) == [("input.id", "FORBIDDEN")]
    await administer(house, "unlink_identity", {"id": identity_id})
    assert await Identity.all().count() == 0


async def test_an_administrator_unlinks_even_the_last_way_in(house: House) -> None:
    entrance = await house.entrance()
    mine = await entrance.log_in()
    id = await identity_of("zhangsan")

    payload = await administer(house, "unlink_identity", {"id": id}, role=Role.ADMIN)

    assert payload["user"] == {"id": mine["user"]["id"], "identities": []}
    assert (await Session.get()).revoked_at is not None
    assert (await last_event(action="session.revoked")).rule == "identity.unlinked"
    again = await run(
        house, "admin/unlink_identity", {"id": id}, token=await house.key(Role.ADMIN)
    )
    assert problems(again) == [("input.id", "NOT_FOUND")]


@pytest.mark.parametrize("name", ["linkIdentity", "unlinkIdentity"])
async def test_viewers_link_nothing(house: House, name: str) -> None:
    type_ = name[0].upper() + name[1:] + "Input!"
    query = f"mutation($input: {type_}) {{ {name}(input: $input) {{ __typename }} }}"
    input = {"id": "idn_x"}
    if name == "linkIdentity":
        input = {"userId": "usr_x", "identitySourceId": "src_x", "subject": "x"}

    for token, code in (
        (await house.key(Role.VIEWER), "FORBIDDEN"),
        (None, "UNAUTHENTICATED"),
    ):
        answer = await house.answer(query, {"input": input}, token=token)
        assert answer["errors"][0]["extensions"]["code"] == code
    assert await trail() == []
