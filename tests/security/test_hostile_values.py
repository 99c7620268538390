"""What no database stores and no form expects, in every argument there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.house import Entrance, House
from tests.security.conftest import Row
from tests.security.documents import Call, Path, calls, replaced

TEXTS = {
    "NUL": "a\0b",
    "only NUL": "\0",
    "empty": "",
    "blank": " \t\u3000 ",
    "10,000 characters": "x" * 10_000,
    "10,000 wide characters": "合" * 10_000,
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈",
    "right to left": "\u202eevil\u202c שלום مرحبا",
    "combining": "e" + "\u0301" * 200,
    "noncharacters": "\ufffe\uffff\U0010ffff",
    "controls": "\x01\x1b[31m\x7f\x85\u2028\n\r",
    "SQL": "'; DROP TABLE users; -- %s $1 ?",
    "LIKE": "%_\\%",
    "templates": "{0} {name} {{ 7*7 }} ${jndi:ldap://x} %n",
    "markup": "<script>alert(1)</script>",
    "path": "../../../../etc/passwd",
    "header": "x\r\nSet-Cookie: a=b",
    "digits": "9" * 5_000,
    "TypeID-like": "usr_" + "z" * 26,
    "TypeID past its bits": "usr_8zzzzzzzzzzzzzzzzzzzzzzzzz",
    "TypeID in capitals": "USR_01KB3V5X9GF2TVRZC1Q0K7M4DH",
    "cursor-like": "eyJ2IjpbIlwwIl19",
    "JWT-like": "eyJhbGciOiJub25lIn0.e30.",
}
INTEGERS = [0, -1, 101, 2**31 - 1, -(2**31), 2**31, 2**53, 2**63, 2**64, 10**300]
MOMENTS = [
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00.000Z",
    "9999-12-31T23:59:59.999Z",
    "2026-02-30T00:00:00Z",
    "2026-12-31T23:59:60Z",
    "2026-01-01T00:00:00.0000000000000000000001Z",
    "2026-01-01",
    "1e9",
    "\0",
    "",
]
CALLS = calls()


class Hostile:
    """Sends operations and keeps those whose answer is the server's own fault."""

    def __init__(self, house: House, token: str | None) -> None:
        self._house = house
        self._token = token
        self.sent = 0
        self.faults: list[Any] = []

    async def send(self, call: Call, variables: dict[str, Any], what: object) -> None:
        self.sent += 1
        try:
            response = await self._house.post(
                call.document, variables, token=self._token
            )
        except BaseException as error:
            self.faults.append((call.name, what, repr(error)[:300]))
            raise
        text = response.text
        codes = [
            error["extensions"]["code"] for error in response.json().get("errors", ())
        ]
        bad = {"INTERNAL", "UNAVAILABLE"} & set(codes)
        if response.status_code >= 500 or bad or len(text) > 256 * 1024:
            self.faults.append((call.name, what, response.status_code, text[:300]))


async def known(house: House) -> dict[str, Any]:
    """Things that exist, so that a call goes as far as it can."""
    entrance = await house.entrance(app={"allowPasswordSignIn": True})
    made = await house.mutate(
        "createUser",
        {"username": "victim", "password": "correct horse battery"},
        "user { id }",
        token=await house.key(),
    )
    return {
        "appId": entrance.app_id,
        "identitySource": entrance.identifier,
        "identitySourceId": entrance.source_id,
        "userId": made["user"]["id"],
        "account": "victim",
        "first": None,
        "last": None,
        "after": None,
        "before": None,
        "ids": [entrance.app_id],
        "role": "MEMBER",
        "status": "ACTIVE",
    }


def _own_id(call: Call, known: dict[str, Any]) -> dict[str, Any]:
    """`id` is of the type that the operation is about."""
    about = call.name.lower()
    key = "appId" if "app" in about else "userId"
    key = "identitySourceId" if "identitysource" in about else key
    return {**known, "id": known[key]}


async def person(house: House, things: dict[str, Any]) -> str:
    """The access token of somebody who has just logged in."""
    entrance = Entrance(
        house, things["appId"], things["identitySourceId"], things["identitySource"]
    )
    result = await entrance.log_in()
    token: str = result["tokens"]["accessToken"]
    return token


@pytest.mark.slow
@pytest.mark.parametrize("who", ["owner", "person"])
async def test_no_value_in_any_argument_is_the_servers_fault(
    house: House, who: str, row: Callable[[str], Row]
) -> None:
    """One argument at a time, the others such that the call goes far."""
    line = row("Values: hostile ones in every argument, one at a time")
    things = await known(house)
    token = await (house.key() if who == "owner" else person(house, things))
    hostile = Hostile(house, token)
    for call in CALLS:
        # What these are given would be gone for the rest: all at once does for them.
        if call.name.startswith(("delete", "revokeApiKey", "signOut")):
            continue
        variables = call.variables(_own_id(call, things))
        for values, scalars in (
            (TEXTS.values(), {"String", "ID"}),
            (INTEGERS, {"Int"}),
            (MOMENTS, {"DateTime"}),
        ):
            paths: list[Path] = list(call.leaves(scalars))
            for path in paths:
                for each in values:
                    what = (path, str(each)[:40])
                    await hostile.send(call, replaced(variables, path, each), what)
    line.tried += hostile.sent
    line.through += hostile.faults


@pytest.mark.parametrize("who", ["nobody", "owner", "person"])
async def test_no_value_in_all_arguments_at_once_is_either(
    house: House, who: str, row: Callable[[str], Row]
) -> None:
    line = row("Values: hostile ones in all arguments at once")
    things = await known(house)
    callers = {"owner": house.key, "person": lambda: person(house, things)}
    hostile = Hostile(house, await callers[who]() if who in callers else None)
    for call in sorted(CALLS, key=lambda call: call.name == "signOut"):
        for name, text in TEXTS.items():
            variables = call.variables()
            for path in call.leaves({"String", "ID"}):
                # The body's bound is another test's.
                variables = replaced(variables, path, text[:2_000])
            await hostile.send(call, variables, name)
    line.tried += hostile.sent
    line.through += hostile.faults
