"""
What a person can reach: themselves, and of a source or an app the few fields named.

Every way from `me` and from the answers of a login to every field of every type, as the
schema has them. A type or a field that is new has to be named here, on one side.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest
from graphql import get_named_type, is_composite_type

from models import Role
from tests.house import House
from tests.security.conftest import Row
from tests.security.paths import Way, ways

ALL = frozenset({"*"})
OF_A_SOURCE = frozenset(
    {"id", "identifier", "displayName", "corpId", "agentId", "schema"}
)
# Fields that hold values; those that hold objects are ways.
SHOWN = {
    "User": ALL,
    "Identity": ALL,
    "Session": ALL,
    "WecomProfile": ALL,
    "Device": ALL,
    "Tokens": ALL,
    "SessionConnection": ALL,
    "SessionEdge": ALL,
    "PageInfo": ALL,
    "LoginSuccess": ALL,
    "RefreshedSession": ALL,
    "LinkSuccess": ALL,
    "SignOutPayload": ALL,
    "RevokeSessionPayload": ALL,
    "InputError": ALL,
    "App": frozenset({"id", "name"}),
    "IdentitySource": OF_A_SOURCE,
    "WecomMobileIdentitySource": OF_A_SOURCE,
}
KNOWN = {
    "User": {
        "id",
        "username",
        "displayName",
        "email",
        "emailVerified",
        "phone",
        "phoneVerified",
        "externalId",
        "avatarUrl",
        "role",
        "status",
        "hasPassword",
        "createdAt",
        "lastLoginAt",
    },
    "Identity": {
        "id",
        "provider",
        "issuer",
        "subject",
        "linkedAt",
        "linkedBy",
        "lastLoginAt",
    },
    "Session": {
        "id",
        "resolution",
        "createdAt",
        "lastSeenAt",
        "expiresAt",
        "revokedAt",
        "current",
    },
}
# Whatever lies behind these is refused at their fields already.
ENDS = frozenset({"App", "IdentitySource", "WecomMobileIdentitySource"})
# Longer ways only go round: by then each field of each type was met from each side.
DEEPEST = 5


@dataclass
class Door:
    """A root field that hands out objects to a person."""

    type: str
    ask: Callable[[str], Coroutine[Any, Any, dict[str, Any]]]
    """The whole answer, with its data already that of the root field."""


async def doors(house: House, token: str | None) -> dict[str, Door]:
    """Each may be asked as often as one likes: the same request is the same login."""
    entrance = await house.entrance()
    login = {
        "appId": entrance.app_id,
        "identitySource": entrance.identifier,
        **await entrance.prepared(),
        "device": {"name": "Amy's phone", "installationId": "1"},
    }
    begun = await entrance.log_in("lisi")
    other = await entrance.log_in("lisi")
    access = begun["tokens"]["accessToken"]
    refresh = {"refreshToken": other["tokens"]["refreshToken"]}

    def door(
        type_: str, name: str, input: dict[str, Any] | None, token: str | None
    ) -> Door:
        async def ask(inner: str) -> dict[str, Any]:
            query = f"{{ {name} {{ {inner} }} }}"
            if input is not None:
                declared = name[0].upper() + name[1:] + "Input!"
                query = (
                    f"mutation($input: {declared}) {{ {name}(input: $input)"
                    f" {{ ... on {type_} {{ {inner} }} }} }}"
                )
            body = await house.answer(query, {"input": input}, token=token)
            return {**body, "data": (body.get("data") or {}).get(name)}

        return Door(type_, ask)

    return {
        "me": door("User", "me", None, access),
        "wecomMobileLogin": door("LoginSuccess", "wecomMobileLogin", login, token),
        "refreshSession": door("RefreshedSession", "refreshSession", refresh, token),
        "revokeMySession": door(
            "RevokeSessionPayload",
            "revokeMySession",
            {"id": other["session"]["id"]},
            access,
        ),
    }


NAMES = [
    "me",
    "wecomMobileLogin",
    "refreshSession",
    "revokeMySession",
]


def shown(way: Way, name: str) -> bool:
    allowed = SHOWN.get(way.type.name)
    assert allowed is not None, f"{way.steps}: may a person see a {way.type.name}?"
    known = KNOWN.get(way.type.name)
    assert known is None or name in known, f"May a person see {way.type.name}.{name}?"
    return allowed is ALL or name in allowed


@pytest.mark.parametrize("sent_along", [None, Role.OWNER])
@pytest.mark.parametrize("name", NAMES)
async def test_a_persons_graph_goes_no_further(
    house: House, name: str, sent_along: Role | None, row: Callable[[str], Row]
) -> None:
    """Also where a back end sends its own powerful key along with a login."""
    if sent_along and name in {"me", "revokeMySession"}:
        pytest.skip("A person's own fields are Forbidden to a key.")
    token = await house.key(sent_along) if sent_along else None
    door = (await doors(house, token))[name]
    wrong: list[Any] = []
    asked = 0
    for way in ways(door.type, ends=ENDS, deepest=DEEPEST):
        open_ = [leaf for leaf in way.leaves() if shown(way, leaf)]
        closed = [leaf for leaf in way.leaves() if not shown(way, leaf)]
        if way.type.name in ENDS:
            closed += _objects_of(way)
        asked += len(open_) + len(closed)
        answer = await door.ask(way.select("__typename " + " ".join(open_)))
        if "errors" in answer:
            wrong.append((way.steps, open_, answer["errors"]))
        there = _reached(answer["data"], way.steps)
        for leaf in closed:
            answer = await door.ask(way.select(leaf))
            codes = [each["extensions"]["code"] for each in answer.get("errors", ())]
            refused = bool(codes) and set(codes) == {"FORBIDDEN"}
            if refused != there or (there and _values(answer["data"], leaf)):
                wrong.append((way.steps, leaf, answer))
    line = row("Authorisation: every way from a person to every field of every type")
    line.tried += asked
    line.through += wrong
    assert asked > 100


def _objects_of(way: Way) -> list[str]:
    """Selections of the objects that hang on a source or an app."""
    return [
        f"{name} {{ __typename }}"
        for name, field in way.type.fields.items()
        if is_composite_type(get_named_type(field.type))
    ]


def _reached(data: Any, steps: tuple[str, ...]) -> bool:
    """Whether an object stands at the end of the way, and not null or an empty list."""
    if isinstance(data, list):
        return any(_reached(each, steps) for each in data)
    if data is None:
        return False
    if not steps:
        return True
    if steps[0].startswith("..."):
        return _reached(data, steps[1:])
    return _reached(data.get(steps[0]), steps[1:])


def _values(data: Any, leaf: str) -> bool:
    """Whether anything but nulls stands under the leaf's name."""
    name = leaf.partition(" ")[0]
    if isinstance(data, list):
        return any(_values(each, leaf) for each in data)
    if not isinstance(data, dict):
        return False
    return any(
        (key == name and value is not None) or _values(value, leaf)
        for key, value in data.items()
    )
