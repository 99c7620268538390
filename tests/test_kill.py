"""`kill -9` in the middle of logins and refreshes: no answered session is lost."""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import dataclass
from itertools import count

import httpx
import pytest

from models import Identity, RefreshToken, Session, User, database, ids
from tests.house import Entrance, House
from tests.operations import run
from tests.serving import serving
from wecom.sandbox import examples
from wecom.sandbox.world import Person

pytestmark = pytest.mark.slow

# Fewer while one works on it.
KILLS = int(os.environ.get("KILLS", "50"))
PHONES = 8
NEWCOMERS = 3


class Down(Exception):
    """The server was killed before it answered."""


@dataclass
class Answered:
    """A session that some phone was told of, and the newest token it was told."""

    session_id: str
    user_id: str
    refresh_token: str

    async def refresh(self, process: House) -> None:
        """
        One refresh. Unanswered, it changes nothing for the phone: it asks again with
        the token that it has.
        """
        input = {"refreshToken": self.refresh_token}
        try:
            result = await run(process, "refresh_session", input)
        except httpx.TransportError:
            raise Down from None
        assert result["__typename"] == "RefreshedSession", result
        assert result["session"]["id"] == self.session_id
        self.refresh_token = result["tokens"]["refreshToken"]


async def log_in(door: Entrance, userid: str) -> Answered:
    try:
        result = await door.log_in(userid)
    except httpx.TransportError:
        raise Down from None
    assert result["__typename"] == "LoginSuccess", result
    return Answered(
        result["session"]["id"], result["user"]["id"], result["tokens"]["refreshToken"]
    )


class Answers:
    """How many there were: a kill waits for some, as many as chance has it."""

    def __init__(self) -> None:
        self._awaited = 0
        self._enough = asyncio.Event()

    def note(self) -> None:
        self._awaited -= 1
        if self._awaited <= 0:
            self._enough.set()

    async def wait(self, count: int) -> None:
        self._awaited = count
        self._enough.clear()
        await self._enough.wait()


async def keep_refreshing(process: House, phone: Answered, answers: Answers) -> None:
    while True:
        try:
            await phone.refresh(process)
        except Down:
            return
        answers.note()


async def keep_arriving(
    door: Entrance, numbers: count[int], answered: list[Answered], answers: Answers
) -> None:
    """New members all the time, each an account, an identity and a session."""
    people = door.house.wecom.sandbox.world.corps
    corp = next(each for each in people if each.corp_id == examples.HEFU)
    while True:
        userid = f"newcomer-{next(numbers)}"
        corp.people.append(Person(userid, userid))
        try:
            answered.append(await log_in(door, userid))
        except Down:
            return
        answers.note()


@pytest.mark.settings(HEFU_MEMBER_RECHECK_HOURS="0")
async def test_nothing_that_was_answered_is_lost(house: House) -> None:
    entrance = await house.entrance()
    chance = random.Random(4)  # noqa: S311
    numbers, answered, answers = count(), list[Answered](), Answers()
    async with serving(house, 1) as [(server, process)]:
        door = Entrance(
            process, entrance.app_id, entrance.source_id, entrance.identifier
        )
        phones = [await log_in(door, "zhangsan") for _ in range(PHONES)]
        for _ in range(KILLS):
            work = [
                *(keep_refreshing(process, phone, answers) for phone in phones),
                *(
                    keep_arriving(door, numbers, answered, answers)
                    for _ in range(NEWCOMERS)
                ),
            ]
            working = asyncio.gather(*work)
            # Chance has it, too, where in a request's course it is struck.
            await answers.wait(chance.randint(1, 40))
            await asyncio.sleep(chance.uniform(0, 0.05))
            server.kill()
            await working
            await _sound()
            await server.start()

        assert answered
        for each in (*phones, *answered):
            await each.refresh(process)
    await _all_there([*phones, *answered])


async def _sound() -> None:
    """The database as the killed process left it."""
    if database.dialect() == "sqlite":
        assert await database.fetch("PRAGMA integrity_check") == [
            {"integrity_check": "ok"}
        ]
        assert await database.fetch("PRAGMA foreign_key_check") == []
    users = {user.id for user in await User.all()}
    holders = [identity.user_id for identity in await Identity.all()]
    # No account without its identity, no identity without its account, none twice.
    assert sorted(holders) == sorted(users)
    assert {session.user_id for session in await Session.all()} <= users


async def _all_there(answered: list[Answered]) -> None:
    living = await Session.filter(revoked_at=None)
    assert {each.session_id for each in answered} <= {_id(each) for each in living}
    # A chain each, with one end.
    ends = await RefreshToken.filter(replaced_at=None)
    assert sorted(end.session_id for end in ends) == sorted(each.id for each in living)
    assert await Session.exclude(revoked_at=None).count() == 0


def _id(session: Session) -> str:
    return ids.show(ids.SESSION, session.id)
