"""As whom an object is read: from a person's own graph nobody sees further."""

from __future__ import annotations

from typing import Any

import graphql
import pytest

from hefu.api import schema
from models import Role
from tests.house import LOGIN, Entrance, House, Json

SERVED = graphql.build_schema(schema.as_str())

OPEN = {
    "WecomMobileIdentitySource": [
        "id",
        "identifier",
        "displayName",
        "corpId",
        "agentId",
        "schema",
    ],
    "App": ["id", "name"],
}
PLACES = {
    "WecomMobileIdentitySource": "sessions { nodes { identitySource { X } } }",
    "App": "sessions { nodes { app { X } } }",
}


def fields(name: str) -> list[str]:
    """Every field of a type, with what little must be asked of it."""
    type_: Any = SERVED.type_map[name]
    return [
        each
        if graphql.is_leaf_type(graphql.get_named_type(field.type))
        else f"{each} {{ __typename }}"
        for each, field in type_.fields.items()
    ]


def reading(name: str, field: str) -> str:
    fragment = f"... on {name} {{ {field} }}"
    return PLACES[name].replace("X", fragment)


def codes(answer: Json) -> set[str]:
    return {error["extensions"]["code"] for error in answer.get("errors", [])}


async def person(entrance: Entrance) -> str:
    token: str = (await entrance.log_in())["tokens"]["accessToken"]
    return token


@pytest.mark.parametrize("name", OPEN)
async def test_a_person_reads_of_apps_and_sources_what_a_login_needs(
    house: House, name: str
) -> None:
    token = await person(await house.entrance())
    for field in fields(name):
        answer = await house.answer(
            f"{{ me {{ {reading(name, field)} }} }}", token=token
        )
        expected = set() if field in OPEN[name] else {"FORBIDDEN"}
        assert codes(answer) == expected, field


@pytest.mark.parametrize("name", OPEN)
async def test_a_viewer_reads_all_of_them(house: House, name: str) -> None:
    await person(await house.entrance())
    token = await house.key(Role.VIEWER)
    for field in fields(name):
        query = f"{{ users {{ nodes {{ {reading(name, field)} }} }} }}"
        assert codes(await house.answer(query, token=token)) == set(), field


async def test_a_person_reads_all_of_their_own(house: House) -> None:
    token = await person(await house.entrance())
    for path, name in (
        ("X", "User"),
        ("identities { X }", "Identity"),
        ("sessions { nodes { X } }", "Session"),
    ):
        for field in fields(name):
            query = f"{{ me {{ {path.replace('X', field)} }} }}"
            assert codes(await house.answer(query, token=token)) == set(), field


async def test_a_person_who_may_read_the_admin_api_reads_on_from_themselves(
    house: House,
) -> None:
    entrance = await house.entrance(app={"adminAccess": True})
    login = await entrance.log_in()
    token = login["tokens"]["accessToken"]
    query = "{ me { role sessions { nodes { app { enabled } } } } }"
    assert codes(await house.answer(query, token=token)) == {"FORBIDDEN"}
    await house.mutate(
        "updateUser",
        {"id": login["user"]["id"], "role": "VIEWER"},
        "errors { code }",
        token=await house.key(),
    )
    data = await house.data(query, token=token)
    session = {"app": {"enabled": True}}
    assert data == {"me": {"role": "VIEWER", "sessions": {"nodes": [session]}}}


@pytest.mark.parametrize("key", [None, Role.OWNER])
async def test_a_logins_answer_is_read_as_the_person_who_logged_in(
    house: House, key: Role | None
) -> None:
    entrance = await house.entrance()
    token = await house.key(key) if key else None
    query = LOGIN.replace(
        "session { id }",
        "session { id current app { id name enabled } identity { subject }"
        " identitySource { id identifier } user { sessions { nodes { current } } } }",
    )
    input = {
        "appId": entrance.app_id,
        "identitySource": entrance.identifier,
        **await entrance.prepared(),
    }
    answer = await house.answer(query, {"input": input}, token=token)
    assert codes(answer) == {"FORBIDDEN"}
    [error] = answer["errors"]
    assert error["path"] == ["wecomMobileLogin", "session", "app", "enabled"]
    session = answer["data"]["wecomMobileLogin"]["session"]
    assert session == {
        "id": session["id"],
        "current": True,
        "app": None,
        "identity": {"subject": "zhangsan"},
        "identitySource": {"id": entrance.source_id, "identifier": entrance.identifier},
        "user": {"sessions": {"nodes": [{"current": True}]}},
    }
