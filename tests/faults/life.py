"""Phones that go on while servers and databases die, and what they were promised."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from models import database
from tests.faults.faulty import holds
from tests.house import Entrance, House
from wecom.sandbox import examples

REFRESH = """
mutation($token: String!) { refreshSession(input: {refreshToken: $token}) {
  ... on RefreshedSession { tokens { refreshToken } }
  ... on LoginFailure { code } } }
"""
BIND = """
mutation($input: BindNewAccountInput!) { bindNewAccount(input: $input) {
  ... on LoginSuccess { tokens { refreshToken } } ... on LoginFailure { code } } }
"""
BURNT = """
SELECT count(*) AS count FROM binding_tickets t WHERE t.used_at IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM identities i WHERE i.subject = t.subject)
"""

# What a client sees of a server that is gone.
LOST = (httpx.TransportError, KeyError)


@dataclass
class Life:
    """Phones that log in, bind and refresh, and remember what they were told."""

    entrance: Entrance
    asking: Entrance
    # Seconds between what one phone does and what it does next.
    pause: float = 0.005
    tokens: list[str] = field(default_factory=list)
    logins: int = 0
    refreshes: int = 0
    binds: int = 0
    # By `time.monotonic`: when a login was last answered.
    logged_in_at: float = 0.0

    @classmethod
    async def of(cls, house: House, *, pause: float = 0.005) -> Life:
        """An app and a source of their own, and a source that asks to bind."""
        asking = await house.entrance(
            agent=examples.OTHER_CORP_AGENT,
            accountAssociation={
                "mode": "ASK_TO_BIND",
                "bindingMethods": ["USERNAME_PASSWORD"],
            },
        )
        return cls(await house.entrance(), asking, pause)

    def move(self, house: House) -> None:
        """Ask this server from now on."""
        self.entrance.house = self.asking.house = house

    async def log_in(self, userid: str) -> None:
        with suppress(*LOST, AssertionError):
            login = await self.entrance.log_in(userid)
            self.tokens.append(login["tokens"]["refreshToken"])
            self.logins += 1
            self.logged_in_at = time.monotonic()

    async def bind(self, userid: str) -> None:
        with suppress(*LOST, AssertionError):
            asked = await self.asking.log_in(userid, agent=examples.OTHER_CORP_AGENT)
            if "ticket" not in asked:
                return
            input = {"appId": self.asking.app_id, "ticket": asked["ticket"]}
            told = await self.entrance.house.data(BIND, {"input": input})
            self.tokens.append(told["bindNewAccount"]["tokens"]["refreshToken"])
            self.binds += 1

    async def refresh(self) -> None:
        if not self.tokens:
            return
        token = self.tokens.pop(0)
        try:
            self.tokens.append(await self.refreshed(token))
            self.refreshes += 1
        except BaseException as error:
            # The answer was lost: the old one gives its successor once more.
            self.tokens.append(token)
            if not isinstance(error, (*LOST, AssertionError)):
                raise

    async def refreshed(self, token: str) -> str:
        data = await self.entrance.house.data(REFRESH, {"token": token})
        return str(data["refreshSession"]["tokens"]["refreshToken"])

    async def go_on(self, over: asyncio.Event) -> None:
        """
        Until it is over, to the end of what was begun.

        Cancelled while it connects, a client of httpx leaves the socket open.
        """
        number = 0
        while not over.is_set():
            number += 1
            await self.log_in(("zhangsan", "lisi", "bob_jones-2")[number % 3])
            await self.bind(("zhangsan", "maria")[number % 2])
            await self.refresh()
            await asyncio.sleep(self.pause)

    @property
    def acknowledged(self) -> str:
        return f"{self.logins} logins, {self.binds} binds, {self.refreshes} refreshes"


async def promises_kept(url: str) -> None:
    """What is in the database is whole, and no ticket was burnt without a link."""
    async with database.opened(url):
        await holds()
        assert (await database.fetch(BURNT))[0]["count"] == 0
        if database.dialect() == "sqlite":
            checked = await database.fetch("PRAGMA integrity_check")
            assert checked == [{"integrity_check": "ok"}]
