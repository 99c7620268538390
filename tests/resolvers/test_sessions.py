"""Ending sessions, and looking at them: binding rules 7."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from models import Identity, RefreshToken, Role, Session, User, ids
from services import endings
from tests.house import Entrance, House, Json
from tests.operations import account, administer, change, run, sign_in
from tests.processes import beside

ME = "{ me { id } }"
MY_SESSIONS = """
query($active: Boolean = true) {
  me {
    sessions(active: $active) {
      totalCount
      nodes {
        id current createdAt lastSeenAt expiresAt revokedAt resolution
        app { id name }
        identitySource { id displayName }
        identity { subject }
        device {
          name platform osVersion appVersion installationId ipAddress userAgent
        }
      }
    }
  }
}
"""
PASSWORD = "correct horse battery staple"
REVOKED = {"code": "UNAUTHENTICATED", "reason": "REVOKED"}


async def is_alive(house: House, logged_in: Json) -> bool:
    """By its access token, and then by its refresh token: they must agree."""
    answer = await house.post(ME, token=logged_in["tokens"]["accessToken"])
    used = answer.status_code == 200 and answer.json()["data"]["me"] is not None
    if not used:
        assert answer.status_code == 401, answer.json()
        assert answer.json()["errors"][0]["extensions"] == REVOKED
        refused = await run(
            house, "refresh_session", {"refreshToken": refresh_token(logged_in)}
        )
        assert refused["code"] == "INVALID_REFRESH_TOKEN", refused
    return used


def refresh_token(logged_in: Json) -> str:
    token: str = logged_in["tokens"]["refreshToken"]
    return token


def access_token(logged_in: Json) -> str:
    token: str = logged_in["tokens"]["accessToken"]
    return token


async def three(entrance: Entrance) -> tuple[Json, Json, Json]:
    """Two of one account's sessions, and somebody else's."""
    return (
        await entrance.log_in(),
        await entrance.log_in(),
        await entrance.log_in("LiSi"),
    )


# ------------------------------------------------------------------- sign out


async def test_sign_out_ends_the_access_tokens_session(house: House) -> None:
    entrance = await house.entrance()
    mine, other, _ = await three(entrance)

    data = await house.data(
        "mutation { signOut { session { id current revokedAt } } }",
        token=access_token(mine),
    )

    assert data["signOut"]["session"]["id"] == mine["session"]["id"]
    assert data["signOut"]["session"]["revokedAt"]
    assert not await is_alive(house, mine)
    assert await is_alive(house, other)


async def test_a_refresh_token_alone_signs_out(house: House) -> None:
    entrance = await house.entrance()
    mine, other, _ = await three(entrance)

    payload = await run(house, "sign_out", {"refreshToken": refresh_token(mine)})

    assert payload["session"]["id"] == mine["session"]["id"]
    assert payload["session"]["revokedAt"]
    assert not await is_alive(house, mine)
    assert await is_alive(house, other)


async def test_an_expired_access_token_does_not_stand_in_the_way(house: House) -> None:
    mine = await (await house.entrance()).log_in()
    house.clock.advance(hours=1)

    payload = await run(
        house,
        "sign_out",
        {"refreshToken": refresh_token(mine)},
        token=access_token(mine),
    )

    assert payload["session"]["id"] == mine["session"]["id"]


async def test_a_live_access_token_goes_before_a_refresh_token(house: House) -> None:
    mine, other, _ = await three(await house.entrance())

    payload = await run(
        house,
        "sign_out",
        {"refreshToken": refresh_token(other)},
        token=access_token(mine),
    )

    assert payload["session"]["id"] == mine["session"]["id"]
    assert await is_alive(house, other)


async def test_a_replaced_refresh_token_signs_out_too(house: House) -> None:
    """The phone lost the answer of its last refresh, and the person wants out."""
    mine = await (await house.entrance()).log_in()
    await run(house, "refresh_session", {"refreshToken": refresh_token(mine)})

    payload = await run(house, "sign_out", {"refreshToken": refresh_token(mine)})

    assert payload["session"]["id"] == mine["session"]["id"]


@pytest.mark.parametrize("token", ["", "hefur_nothing", "hefur_" + "A" * 43])
async def test_whoever_is_signed_out_stays_so(house: House, token: str) -> None:
    mine = await (await house.entrance()).log_in()

    assert await run(house, "sign_out", {"refreshToken": token}) == {"session": None}
    assert await is_alive(house, mine)


async def test_signing_out_needs_something_to_go_by(house: House) -> None:
    mine = await (await house.entrance()).log_in()

    answer = await house.post("mutation { signOut { session { id } } }")

    assert answer.status_code == 200
    assert answer.json()["errors"][0]["extensions"] == {
        "code": "UNAUTHENTICATED",
        "reason": "MISSING",
    }
    assert await is_alive(house, mine)


async def test_signed_out_twice_is_signed_out(house: House) -> None:
    mine = await (await house.entrance()).log_in()
    input = {"refreshToken": refresh_token(mine)}

    results = await asyncio.gather(*(run(house, "sign_out", input) for _ in range(6)))

    ended = [each["session"] for each in results if each["session"]]
    assert {each["revokedAt"] for each in ended} == {ended[0]["revokedAt"]}
    assert await run(house, "sign_out", input) == {"session": None}


# ---------------------------------------------------------- one's own sessions


async def test_one_ends_a_session_of_ones_own(house: House) -> None:
    mine, lost, others = await three(await house.entrance())

    payload = await run(
        house,
        "revoke_my_session",
        {"id": lost["session"]["id"]},
        token=access_token(mine),
    )

    assert payload["errors"] == []
    assert payload["session"]["id"] == lost["session"]["id"]
    assert payload["session"]["current"] is False
    assert payload["session"]["revokedAt"]
    assert not await is_alive(house, lost)
    assert await is_alive(house, mine)
    assert await is_alive(house, others)


@pytest.mark.parametrize("whose", ["somebody else's", "nobody's", "no session"])
async def test_one_ends_no_other_session(house: House, whose: str) -> None:
    mine, _, others = await three(await house.entrance())
    id = {
        "somebody else's": others["session"]["id"],
        "nobody's": ids.show(ids.SESSION, ids.new()),
        "no session": mine["user"]["id"],
    }[whose]

    payload = await run(
        house, "revoke_my_session", {"id": id}, token=access_token(mine)
    )

    [error] = payload["errors"]
    assert payload["session"] is None
    assert (error["path"], error["code"]) == (["input", "id"], "NOT_FOUND")
    assert await is_alive(house, others)


async def test_an_api_key_has_no_sessions_of_its_own(house: House) -> None:
    mine = await (await house.entrance()).log_in()

    answer = await house.answer(
        "mutation($input: RevokeMySessionInput!)"
        " { revokeMySession(input: $input) { errors { code } } }",
        {"input": {"id": mine["session"]["id"]}},
        token=await house.key(),
    )

    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert await is_alive(house, mine)


async def test_a_person_sees_their_sessions(house: House) -> None:
    entrance = await house.entrance(app={"name": "Shop"}, displayName="企业微信")
    device = {
        "name": "Zhang's phone",
        "platform": "HARMONYOS",
        "osVersion": "5.0.1",
        "appVersion": "2.3.0",
        "installationId": "0b9f7f0e",
    }
    await entrance.log_in("LiSi")
    bare = await entrance.log_in()
    house.clock.advance(minutes=5)
    mine = await entrance.log_in(device=device, headers={"User_Agent": "Shop/2.3"})

    data = await house.data(MY_SESSIONS, token=access_token(mine))

    listed = data["me"]["sessions"]
    assert listed["totalCount"] == 2
    newest, older = listed["nodes"]  # Newest first.
    assert newest["device"] == {
        **device,
        "ipAddress": "203.0.113.7",
        "userAgent": "Shop/2.3",
    }
    assert (newest["id"], newest["current"]) == (mine["session"]["id"], True)
    assert (older["id"], older["current"]) == (bare["session"]["id"], False)
    assert older["device"]["ipAddress"] == "203.0.113.7"
    assert older["device"]["installationId"] is None
    assert newest["app"] == {"id": entrance.app_id, "name": "Shop"}
    assert newest["identitySource"] == {
        "id": entrance.source_id,
        "displayName": "企业微信",
    }
    assert newest["identity"] == {"subject": "zhangsan"}
    assert newest["resolution"] == "LINKED"
    assert newest["revokedAt"] is None
    assert newest["createdAt"] == newest["lastSeenAt"] > older["createdAt"]
    assert newest["expiresAt"] > newest["createdAt"]


async def test_lists_show_what_goes_on_or_all(house: House) -> None:
    entrance = await house.entrance()
    ended = await entrance.log_in()
    await run(house, "sign_out", {"refreshToken": refresh_token(ended)})
    lapsed = await entrance.log_in()
    house.clock.advance(days=31)
    mine = await entrance.log_in()

    async def listed(**variables: Any) -> list[str]:
        data = await house.data(MY_SESSIONS, variables, token=access_token(mine))
        return [each["id"] for each in data["me"]["sessions"]["nodes"]]

    over = [lapsed["session"]["id"], ended["session"]["id"]]
    assert await listed() == [mine["session"]["id"]]
    assert await listed(active=True) == [mine["session"]["id"]]
    assert await listed(active=False) == over
    assert await listed(active=None) == [mine["session"]["id"], *over]


async def test_administrators_see_anybodys(house: House) -> None:
    mine = await (await house.entrance()).log_in(device={"name": "A phone"})

    data = await house.data(
        "query($id: ID!) { user(id: $id)"
        " { sessions { nodes { id current device { name } user { id } } } } }",
        {"id": mine["user"]["id"]},
        token=await house.key(Role.VIEWER),
    )

    assert data["user"]["sessions"]["nodes"] == [
        {
            "id": mine["session"]["id"],
            "current": False,
            "device": {"name": "A phone"},
            "user": {"id": mine["user"]["id"]},
        }
    ]


# -------------------------------------------------- the same installation again


async def test_a_later_login_from_an_installation_replaces_the_session(
    house: House,
) -> None:
    entrance = await house.entrance()
    other_app = await house.entrance()
    phone: Any = {"device": {"installationId": "phone"}}
    first = await entrance.log_in(**phone)
    colleague = await entrance.log_in("LiSi", **phone)
    elsewhere = await other_app.log_in(**phone)
    tablet = await entrance.log_in(device={"installationId": "tablet"})
    unnamed = await entrance.log_in()

    second = await entrance.log_in(**phone)

    assert not await is_alive(house, first)
    for each in (second, colleague, elsewhere, tablet, unnamed):
        assert await is_alive(house, each)


async def test_two_long_ids_that_begin_alike_are_two_installations(
    house: House,
) -> None:
    entrance = await house.entrance()
    begins = "i" * 200
    one = await entrance.log_in(device={"installationId": begins + "1"})
    other = await entrance.log_in(device={"installationId": begins + "2"})

    again = await entrance.log_in(device={"installationId": begins + "1"})

    assert not await is_alive(house, one)
    assert await is_alive(house, other)
    assert await is_alive(house, again)


# ------------------------------------------------------------- administrators


async def test_an_administrator_ends_a_session(house: House) -> None:
    mine, other, _ = await three(await house.entrance())

    payload = await administer(
        house, "revoke_session", {"id": mine["session"]["id"]}, role=Role.ADMIN
    )

    assert payload["session"]["id"] == mine["session"]["id"]
    assert payload["session"]["user"]["id"] == mine["user"]["id"]
    assert payload["session"]["revokedAt"]
    assert not await is_alive(house, mine)
    assert await is_alive(house, other)
    # Ended before: still nothing is wrong.
    again = await administer(house, "revoke_session", {"id": mine["session"]["id"]})
    assert again["session"]["revokedAt"] == payload["session"]["revokedAt"]


async def test_what_there_is_not_cannot_be_ended(house: House) -> None:
    for id in ("", "ses_", ids.show(ids.SESSION, ids.new()), "usr_01k"):
        payload = await run(
            house, "admin/revoke_session", {"id": id}, token=await house.key()
        )
        [error] = payload["errors"]
        assert (error["path"], error["code"]) == (["input", "id"], "NOT_FOUND")


async def promoted(house: House, entrance: Entrance) -> Json:
    """A session of an account whose role is above MEMBER."""
    logged_in = await entrance.log_in("LiSi")
    await change(house, logged_in["user"]["id"], role="VIEWER")
    return logged_in


async def test_only_an_owner_ends_a_privileged_accounts_session(house: House) -> None:
    boss = await promoted(house, await house.entrance())
    input = {"id": boss["session"]["id"]}

    payload = await run(
        house, "admin/revoke_session", input, token=await house.key(Role.ADMIN)
    )

    assert [each["code"] for each in payload["errors"]] == ["FORBIDDEN"]
    assert await is_alive(house, boss)
    await administer(house, "revoke_session", input)
    assert not await is_alive(house, boss)


@pytest.mark.parametrize("key", ["userId", "identityId", "identitySourceId", "appId"])
async def test_all_sessions_of_one_thing(house: House, key: str) -> None:
    entrance = await house.entrance()
    elsewhere = await (await house.entrance()).log_in("LiSi")
    mine, also_mine, others = await three(entrance)
    identity = await Identity.get(subject="zhangsan")
    id, ended, left = {
        "userId": (mine["user"]["id"], [mine, also_mine], [others, elsewhere]),
        "identityId": (
            ids.show(ids.IDENTITY, identity.id),
            [mine, also_mine],
            [others, elsewhere],
        ),
        "identitySourceId": (
            entrance.source_id,
            [mine, also_mine, others],
            [elsewhere],
        ),
        "appId": (entrance.app_id, [mine, also_mine, others], [elsewhere]),
    }[key]

    payload = await administer(house, "revoke_sessions", {key: id}, role=Role.ADMIN)

    assert payload["revokedCount"] == len(ended)
    for each in ended:
        assert not await is_alive(house, each)
    for each in left:
        assert await is_alive(house, each)
    again = await administer(house, "revoke_sessions", {key: id})
    assert again["revokedCount"] == 0


async def test_more_sessions_than_a_batch(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "BATCH", 3)
    entrance = await house.entrance()
    for _ in range(8):
        await entrance.log_in()

    payload = await administer(house, "revoke_sessions", {"appId": entrance.app_id})

    assert payload["revokedCount"] == 8
    assert await Session.filter(revoked_at=None).count() == 0


async def test_sessions_that_a_machine_with_another_clock_has_opened_end_too(
    house: House,
) -> None:
    entrance = await house.entrance()
    await entrance.log_in()
    house.clock.advance(minutes=1)
    await entrance.log_in()
    house.clock.advance(minutes=-1)

    payload = await administer(house, "revoke_sessions", {"appId": entrance.app_id})

    assert payload["revokedCount"] == 2
    assert await Session.filter(revoked_at=None).count() == 0


@pytest.mark.parametrize("key", ["identitySourceId", "appId"])
async def test_by_source_or_app_an_admin_passes_over_the_privileged(
    house: House, key: str
) -> None:
    entrance = await house.entrance()
    boss = await promoted(house, entrance)
    mine = await entrance.log_in()
    id = {"identitySourceId": entrance.source_id, "appId": entrance.app_id}[key]

    payload = await administer(house, "revoke_sessions", {key: id}, role=Role.ADMIN)

    assert payload["revokedCount"] == 1
    assert not await is_alive(house, mine)
    assert await is_alive(house, boss)
    assert (await administer(house, "revoke_sessions", {key: id}))["revokedCount"] == 1
    assert not await is_alive(house, boss)


@pytest.mark.parametrize("key", ["userId", "identityId"])
async def test_by_account_or_identity_an_admin_is_refused_the_privileged(
    house: House, key: str
) -> None:
    boss = await promoted(house, await house.entrance())
    identity = await Identity.get(user_id=ids.read(ids.USER, boss["user"]["id"]))
    id = boss["user"]["id"]
    if key == "identityId":
        id = ids.show(ids.IDENTITY, identity.id)

    payload = await run(
        house, "admin/revoke_sessions", {key: id}, token=await house.key(Role.ADMIN)
    )

    assert payload["revokedCount"] == 0
    [error] = payload["errors"]
    assert (error["path"], error["code"]) == (["input", key], "FORBIDDEN")
    assert await is_alive(house, boss)


@pytest.mark.parametrize("keys", [[], ["userId", "appId"]])
async def test_exactly_one_key(house: House, keys: list[str]) -> None:
    entrance = await house.entrance()
    mine = await entrance.log_in()
    every = {"userId": mine["user"]["id"], "appId": entrance.app_id}

    payload = await run(
        house,
        "admin/revoke_sessions",
        {key: every[key] for key in keys},
        token=await house.key(),
    )

    assert payload["revokedCount"] == 0
    assert [each["path"] for each in payload["errors"]] == [["input"]]
    assert await is_alive(house, mine)


# ------------------------------------------------------- what else ends sessions


async def test_disabling_an_account_ends_its_sessions(house: House) -> None:
    mine, also_mine, others = await three(await house.entrance())

    await change(house, mine["user"]["id"], status="DISABLED")

    assert not await is_alive(house, mine)
    assert not await is_alive(house, also_mine)
    assert await is_alive(house, others)
    # Enabled again, it logs in anew: nothing comes back to life.
    await change(house, mine["user"]["id"], status="ACTIVE")
    assert not await is_alive(house, mine)


async def test_deleting_an_account_deletes_identities_and_sessions(
    house: House,
) -> None:
    mine, also_mine, others = await three(await house.entrance())

    await administer(house, "delete_user", {"id": mine["user"]["id"]})

    assert not await is_alive(house, mine)
    assert not await is_alive(house, also_mine)
    assert await is_alive(house, others)
    for table in (User, Identity, Session, RefreshToken):
        assert await table.all().count() == 1


async def test_unlinking_ends_what_came_through_the_identity(house: House) -> None:
    entrance = await house.entrance(app={"allowPasswordSignIn": True})
    mine, _, others = await three(entrance)
    user_id = mine["user"]["id"]
    await change(house, user_id, username="zhangsan")
    await administer(house, "set_user_password", {"id": user_id, "password": PASSWORD})
    mine = await entrance.log_in()
    by_password = await sign_in(house, entrance.app_id, "zhangsan", PASSWORD)
    identity = await Identity.get(subject="zhangsan")

    await administer(
        house, "unlink_identity", {"id": ids.show(ids.IDENTITY, identity.id)}
    )

    assert not await is_alive(house, mine)
    assert await is_alive(house, by_password)
    assert await is_alive(house, others)


async def test_a_changed_password_ends_the_other_sessions(house: House) -> None:
    app_id = await house.app(allowPasswordSignIn=True)
    await account(house, username="li.lei", password=PASSWORD)
    one = await sign_in(house, app_id, "li.lei", PASSWORD)
    other = await sign_in(house, app_id, "li.lei", PASSWORD)

    await run(
        house,
        "change_my_password",
        {"currentPassword": PASSWORD, "newPassword": PASSWORD + " again"},
        token=access_token(one),
    )

    assert await is_alive(house, one)
    assert not await is_alive(house, other)


async def test_a_password_set_by_an_administrator_ends_all(house: House) -> None:
    app_id = await house.app(allowPasswordSignIn=True)
    user_id = await account(house, username="li.lei", password=PASSWORD)
    one = await sign_in(house, app_id, "li.lei", PASSWORD)

    await administer(
        house, "set_user_password", {"id": user_id, "password": PASSWORD + " again"}
    )

    assert not await is_alive(house, one)


@pytest.mark.parametrize("how", ["disable", "delete"])
async def test_without_its_app_a_session_ends(house: House, how: str) -> None:
    entrance = await house.entrance()
    elsewhere = await (await house.entrance()).log_in()
    mine = await entrance.log_in()

    if how == "disable":
        input = {"id": entrance.app_id, "enabled": False}
        await administer(house, "update_app", input)
    else:
        await administer(house, "delete_app", {"id": entrance.app_id})

    assert not await is_alive(house, mine)
    assert await is_alive(house, elsewhere)
    if how == "disable":
        input = {"id": entrance.app_id, "enabled": True}
        await administer(house, "update_app", input)
        assert not await is_alive(house, mine)


async def test_an_end_is_at_once_on_every_process(house: House) -> None:
    entrance = await house.entrance()
    mine, also_mine, _ = await three(entrance)
    async with beside(house) as other:
        assert await is_alive(other, mine)
        assert await is_alive(other, also_mine)

        await run(house, "sign_out", {"refreshToken": refresh_token(mine)})
        assert not await is_alive(other, mine)
        await change(house, mine["user"]["id"], status="DISABLED")
        assert not await is_alive(other, also_mine)


# ----------------------------------------------------------- expired credentials


async def test_an_expired_access_token_counts_as_none(house: House) -> None:
    entrance = await house.entrance()
    mine = await entrance.log_in()
    house.clock.advance(hours=1)
    token = access_token(mine)

    options = await house.data(
        "query($id: ID!) { loginOptions(appId: $id) { identitySource } }",
        {"id": entrance.app_id},
        token=token,
    )
    prepared = await entrance.prepared()
    again = await entrance.present(**prepared, token=token)
    answer = await house.post(ME, token=token)

    assert options["loginOptions"] == [{"identitySource": entrance.identifier}]
    assert again["__typename"] == "LoginSuccess"
    assert answer.status_code == 200
    assert answer.json()["data"] == {"me": None}
    assert answer.json()["errors"][0]["extensions"] == {
        "code": "UNAUTHENTICATED",
        "reason": "EXPIRED",
    }


async def test_an_expired_token_of_a_session_that_was_ended_counts_as_none(
    house: House,
) -> None:
    """Or an app that always sends its token could not even log in again."""
    entrance = await house.entrance()
    token = access_token(await entrance.log_in())
    await house.data("mutation { signOut { session { id } } }", token=token)
    house.clock.advance(hours=1)

    again = await entrance.present(**await entrance.prepared(), token=token)

    assert again["__typename"] == "LoginSuccess"


async def test_long_after_its_session_it_still_counts_as_none(house: House) -> None:
    """A phone that lay in a drawer: its session is over, and its record deleted."""
    entrance = await house.entrance()
    mine = await entrance.log_in()
    house.clock.advance(days=90)
    await house.services.pruning.run()
    assert await Session.all().count() == 0

    prepared = await entrance.prepared()
    again = await entrance.present(**prepared, token=access_token(mine))

    assert again["__typename"] == "LoginSuccess"


async def test_an_ended_sessions_token_is_refused_everywhere(house: House) -> None:
    entrance = await house.entrance()
    mine = await entrance.log_in()
    await run(house, "sign_out", {"refreshToken": refresh_token(mine)})

    answer = await house.post(
        "query($id: ID!) { loginOptions(appId: $id) { identitySource } }",
        {"id": entrance.app_id},
        token=access_token(mine),
    )

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json()["errors"][0]["extensions"] == REVOKED
