from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from models import App, Association, AuditEvent, Role, Session
from tests.house import House, Json

OPERATIONS = Path(__file__).parents[2] / "graphql" / "operations" / "admin"
CREATE = (OPERATIONS / "create_app.graphql").read_text()
UPDATE = (OPERATIONS / "update_app.graphql").read_text()
DELETE = (OPERATIONS / "delete_app.graphql").read_text()
ASSOCIATE = (OPERATIONS / "associate_app.graphql").read_text()
DISSOCIATE = (OPERATIONS / "dissociate_app.graphql").read_text()

UNKNOWN_APP = "app_01kb3v5x9gf2tvrzc1q0k7m4dh"
UNKNOWN_SOURCE = "src_01kb3v5x9gf2tvrzc1q0k7m4dh"


async def ask(house: House, query: str, **input: Any) -> Json:
    data = await house.data(query, {"input": input}, token=await house.key(Role.ADMIN))
    payload: Json
    (payload,) = data.values()
    return payload


def codes(payload: Json) -> set[tuple[str, str]]:
    return {(".".join(each["path"]), each["code"]) for each in payload["errors"]}


async def stored() -> list[Json]:
    rows: list[Json] = await App.all().values()
    return rows


async def events(action: str) -> list[AuditEvent]:
    return await AuditEvent.filter(action=action).order_by("id")


async def logged_in(house: House) -> tuple[str, str]:
    """An app and the access token of a session for it."""
    entrance = await house.entrance()
    login = await entrance.log_in()
    token: str = login["tokens"]["accessToken"]
    return entrance.app_id, token


async def is_logged_in(house: House, token: str) -> bool:
    body = await house.answer("{ me { id } }", token=token)
    return "errors" not in body


# ------------------------------------------------------------------- creating


async def test_a_new_app_has_the_defaults(house: House) -> None:
    payload = await ask(house, CREATE, name=" 工作台 ")

    app = payload["app"]
    assert payload == {
        "app": {
            "id": app["id"],
            "name": "工作台",
            "enabled": True,
            "requireState": True,
            "allowSignUp": True,
            "allowPasswordSignIn": False,
            "adminAccess": False,
            "accessTokenLifetime": 900,
            "refreshTokenLifetime": 2_592_000,
            "sessionLifetime": 15_552_000,
            "createdAt": app["createdAt"],
            "updatedAt": app["createdAt"],
        },
        "errors": [],
    }
    (told,) = await events("app.created")
    assert (told.actor_name, told.subject_id) == ("admin", app["id"])


async def test_an_explicit_null_is_the_default(house: House) -> None:
    flags = (
        "enabled",
        "requireState",
        "allowSignUp",
        "allowPasswordSignIn",
        "adminAccess",
        "accessTokenLifetime",
        "refreshTokenLifetime",
        "sessionLifetime",
    )
    nulls = await ask(house, CREATE, name="A", **dict.fromkeys(flags))
    plain = await ask(house, CREATE, name="A")

    assert {name: nulls["app"][name] for name in flags} == {
        name: plain["app"][name] for name in flags
    }


@pytest.mark.parametrize(
    ("lifetime", "least", "most"),
    [
        ("accessTokenLifetime", 60, 3600),
        ("refreshTokenLifetime", 3600, 31_536_000),
        ("sessionLifetime", 3600, 31_536_000),
    ],
)
async def test_a_lifetime_has_bounds(
    house: House, lifetime: str, least: int, most: int
) -> None:
    for good in (least, most):
        payload = await ask(house, CREATE, name="A", **{lifetime: good})
        assert payload["app"][lifetime] == good
    for bad in (least - 1, most + 1, 0, -1, 2**31 - 1):
        payload = await ask(house, CREATE, name="A", **{lifetime: bad})
        assert codes(payload) == {(f"input.{lifetime}", "OUT_OF_RANGE")}
        assert payload["app"] is None
        message = payload["errors"][0]["message"]
        assert str(least) in message
        assert str(most) in message
    assert await App.all().count() == 2


async def test_everything_that_is_wrong_is_told_at_once(house: House) -> None:
    payload = await ask(
        house, CREATE, name="x" * 65, accessTokenLifetime=1, sessionLifetime=1
    )

    assert codes(payload) == {
        ("input.name", "TOO_LONG"),
        ("input.accessTokenLifetime", "OUT_OF_RANGE"),
        ("input.sessionLifetime", "OUT_OF_RANGE"),
    }
    assert await stored() == []


# ------------------------------------------------------------------- changing


async def test_a_change_writes_what_is_sent_and_nothing_else(house: House) -> None:
    before = (await ask(house, CREATE, name="A", sessionLifetime=3600))["app"]
    house.clock.advance(minutes=1)
    payload = await ask(
        house, UPDATE, id=before["id"], allowSignUp=False, sessionLifetime=None
    )

    after = payload["app"]
    assert after["updatedAt"] > before["updatedAt"]
    assert payload == {
        "app": {
            **before,
            "allowSignUp": False,
            "sessionLifetime": 15_552_000,
            "updatedAt": after["updatedAt"],
        },
        "errors": [],
    }
    (told,) = await events("app.updated")
    assert told.changed_fields == "allowSignUp,sessionLifetime"


async def test_two_administrators_do_not_undo_each_other(house: House) -> None:
    id = (await ask(house, CREATE, name="A"))["app"]["id"]
    await asyncio.gather(
        ask(house, UPDATE, id=id, name="B"),
        ask(house, UPDATE, id=id, requireState=False),
        ask(house, UPDATE, id=id, adminAccess=True),
        ask(house, UPDATE, id=id, accessTokenLifetime=60),
    )

    app = await App.get()
    assert (app.name, app.name_key, app.require_state) == ("B", "b", False)
    assert (app.admin_access, app.access_token_lifetime) == (True, 60)


async def test_a_change_that_changes_nothing_succeeds(house: House) -> None:
    before = (await ask(house, CREATE, name="A"))["app"]
    house.clock.advance(minutes=1)

    assert await ask(house, UPDATE, id=before["id"], name="A ", enabled=True) == {
        "app": before,
        "errors": [],
    }
    assert await ask(house, UPDATE, id=before["id"]) == {"app": before, "errors": []}
    assert await events("app.updated") == []


async def test_a_null_name_or_flag_is_refused(house: House) -> None:
    id = (await ask(house, CREATE, name="A"))["app"]["id"]
    before = await stored()
    payload = await ask(house, UPDATE, id=id, name=None, enabled=None)

    assert codes(payload) == {
        ("input.name", "REQUIRED"),
        ("input.enabled", "REQUIRED"),
    }
    assert await stored() == before


async def test_a_disabled_app_ends_its_sessions_and_no_others(house: House) -> None:
    app_id, token = await logged_in(house)
    _, other = await logged_in(house)
    assert await is_logged_in(house, token)
    await ask(house, UPDATE, id=app_id, enabled=False)

    assert not await is_logged_in(house, token)
    assert await is_logged_in(house, other)
    await ask(house, UPDATE, id=app_id, enabled=True)
    assert not await is_logged_in(house, token)


async def test_what_a_login_under_way_has_left_ends_when_an_app_is_enabled_again(
    house: House,
) -> None:
    app_id, token = await logged_in(house)
    await ask(house, UPDATE, id=app_id, enabled=False)
    await Session.all().update(revoked_at=None)

    await ask(house, UPDATE, id=app_id, enabled=True)

    assert not await is_logged_in(house, token)


# ------------------------------------------------------------------- deleting


async def test_a_deleted_app_takes_its_associations_and_ends_its_sessions(
    house: House,
) -> None:
    app_id, token = await logged_in(house)

    assert await ask(house, DELETE, id=app_id) == {"deletedId": app_id, "errors": []}
    assert await stored() == []
    assert await Association.all().count() == 0
    assert (await Session.get()).revoked_at is not None
    assert not await is_logged_in(house, token)
    (told,) = await events("app.deleted")
    assert told.subject_id == app_id
    assert codes(await ask(house, DELETE, id=app_id)) == {("input.id", "NOT_FOUND")}


@pytest.mark.parametrize("id", [UNKNOWN_APP, UNKNOWN_SOURCE, "", "1"])
async def test_an_unknown_app_is_not_found(house: House, id: str) -> None:
    assert codes(await ask(house, UPDATE, id=id, name="")) == {
        ("input.id", "NOT_FOUND"),
        ("input.name", "REQUIRED"),
    }
    assert codes(await ask(house, DELETE, id=id)) == {("input.id", "NOT_FOUND")}


# ----------------------------------------------------------------- associating


async def test_associating_twice_and_dissociating_twice_is_done_once(
    house: House,
) -> None:
    app_id, source_id = await house.app(), await house.source()
    pair = {"appId": app_id, "identitySourceId": source_id}
    identifier = "wecom-"

    for _ in range(2):
        payload = await ask(house, ASSOCIATE, **pair)
        assert payload["errors"] == []
        assert payload["app"] == {"id": app_id, "name": "Example"}
        source = payload["identitySource"]
        assert source["identifier"].startswith(identifier)
        assert source["apps"] == {"nodes": [{"id": app_id}], "totalCount": 1}
    for _ in range(2):
        payload = await ask(house, DISSOCIATE, **pair)
        assert payload["errors"] == []
        assert payload["identitySource"]["apps"] == {"nodes": [], "totalCount": 0}

    told = [*await events("app.associated"), *await events("app.dissociated")]
    assert [each.subject_id for each in told] == [app_id, app_id]
    assert len({each.identity_source_id for each in told}) == 1


async def test_of_many_who_associate_at_once_all_succeed(house: House) -> None:
    pair = {
        "appId": await house.app(),
        "identitySourceId": await house.source(),
    }
    payloads = await asyncio.gather(*(ask(house, ASSOCIATE, **pair) for _ in range(5)))

    assert [payload["errors"] for payload in payloads] == [[]] * 5
    assert await Association.all().count() == 1
    assert len(await events("app.associated")) == 1


@pytest.mark.parametrize("query", [ASSOCIATE, DISSOCIATE])
async def test_both_unknown_ids_are_told_at_once(house: House, query: str) -> None:
    payload = await ask(
        house, query, appId=UNKNOWN_SOURCE, identitySourceId=UNKNOWN_SOURCE
    )

    assert codes(payload) == {
        ("input.appId", "NOT_FOUND"),
        ("input.identitySourceId", "NOT_FOUND"),
    }
    assert payload["app"] is payload["identitySource"] is None


# ---------------------------------------------------------------- who may what


@pytest.mark.parametrize("role", [None, Role.VIEWER])
async def test_only_administrators_change_apps(house: House, role: Role | None) -> None:
    app_id, source_id = await house.app(), await house.source()
    before = await stored()
    pair = {"appId": app_id, "identitySourceId": source_id}
    for query, input in (
        (CREATE, {"name": "B"}),
        (UPDATE, {"id": app_id, "name": "B"}),
        (DELETE, {"id": app_id}),
        (ASSOCIATE, pair),
        (DISSOCIATE, pair),
    ):
        token = await house.key(role) if role else None
        body = await house.answer(query, {"input": input}, token=token)
        expected = "FORBIDDEN" if role else "UNAUTHENTICATED"
        assert body["data"] is None
        assert [e["extensions"]["code"] for e in body["errors"]] == [expected]
    assert await stored() == before
    assert await Association.all().count() == 0
