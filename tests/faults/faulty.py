"""Logins while something breaks, and what must hold when it is mended."""

from __future__ import annotations

import asyncio
from typing import Any

from models import database
from tests.faults.figures import Stopwatch
from tests.house import LOGIN, START, Entrance, Pkce

Answer = tuple[int, Any]

MESSAGE = "The service is not available at the moment."
UNAVAILABLE: Answer = (503, [(MESSAGE, {"code": "UNAVAILABLE"})])

ORPHANS = """
SELECT (SELECT count(*) FROM users u WHERE NOT EXISTS
           (SELECT 1 FROM identities i WHERE i.user_id = u.id)) AS users,
       (SELECT count(*) FROM identities i WHERE NOT EXISTS
           (SELECT 1 FROM users u WHERE u.id = i.user_id)) AS identities,
       (SELECT count(*) FROM sessions s WHERE NOT EXISTS
           (SELECT 1 FROM refresh_tokens t WHERE t.session_id = s.id)) AS sessions
"""


async def attempt(entrance: Entrance, userid: str = "zhangsan") -> Answer:
    """The status of a login, and its errors: (200, []) if it succeeded."""
    pkce = Pkce()
    input = {"appId": entrance.app_id, "identitySource": entrance.identifier}
    begun = await entrance.house.post(
        START, {"input": {**input, "codeChallenge": pkce.challenge}}
    )
    if begun.status_code != 200:
        return _told(begun)
    given = {
        **input,
        "code": entrance.house.wecom.approve(userid),
        "state": begun.json()["data"]["startWecomMobileLogin"]["state"],
        "codeVerifier": pkce.verifier,
    }
    answer = await entrance.house.post(LOGIN, {"input": given})
    if answer.status_code == 200:
        login = answer.json()["data"]["wecomMobileLogin"]
        assert login["__typename"] == "LoginSuccess", login
    return _told(answer)


async def attempts(entrance: Entrance, count: int) -> list[Answer]:
    """So many at once; each is answered, however long the queue."""
    async with asyncio.timeout(30):
        return await asyncio.gather(*(attempt(entrance) for _ in range(count)))


async def resumed(entrance: Entrance) -> str:
    """How long it takes until a login succeeds again."""
    watch = Stopwatch()
    async with asyncio.timeout(20):
        while (await attempt(entrance))[0] != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return watch.seconds


async def until_unavailable(entrance: Entrance) -> None:
    """Log in until that fails; what there is room for succeeds."""
    async with asyncio.timeout(30):
        while (answer := await attempt(entrance)) != UNAVAILABLE:
            assert answer[0] == 200


def is_unavailable(answer: object) -> bool:
    return answer == UNAVAILABLE


async def holds() -> None:
    """No account without an identity, no identity without an account, and so on."""
    row = await database.fetch_one(ORPHANS)
    assert row == {"users": 0, "identities": 0, "sessions": 0}


def _told(response: Any) -> Answer:
    errors = response.json().get("errors", [])
    return response.status_code, [
        (error["message"], error["extensions"]) for error in errors
    ]
