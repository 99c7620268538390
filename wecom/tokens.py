"""
Access tokens: kept in memory, shared through a store, fetched one at a time.

Every rule here is an accident of another client's: one slot for all corps, two apps of
a corp sharing an expiry, a cache that was never filled again, a fresh token thrown away
because an older one was refused, an outage of the cache that failed logins.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from wecom.agent import Agent
from wecom.errors import Busy, Limited, Unavailable, WecomError

T = TypeVar("T")

logger = logging.getLogger(__name__)

STORE_TIMEOUT = 1.0
"""Seconds. A login waits no longer for what only saves it a request."""

EARLY = timedelta(seconds=60)
"""How long before its end a token is renewed; of a short life, the last tenth."""

KEYS = 1024
"""Agents whose keys in the store are remembered."""


@dataclass(frozen=True, slots=True)
class StoredToken:
    """`expires_at` is aware, in UTC."""

    value: str = field(repr=False)
    expires_at: datetime


class TokenStore(Protocol):
    """
    Shared by processes. Whatever it raises, and however long it takes, logins go on.

    A key is 64 hexadecimal digits, out of which nothing secret can be read.
    """

    async def load(self, key: str) -> StoredToken | None: ...

    async def save(self, key: str, token: StoredToken) -> None: ...

    async def drop(self, key: str, token: StoredToken) -> None:
        """Only if that very token is still stored: a newer one is another process's."""


@dataclass(frozen=True, slots=True)
class Kept:
    token: StoredToken
    renew_at: datetime


class Tokens:
    """
    `fetch` asks WeCom. One fetch is under way for an app at a time, as a task of its
    own: it belongs to all who wait for it, so none of them cancels it by giving up.
    """

    def __init__(
        self,
        *,
        base_url: str,
        fetch: Callable[[Agent], Awaitable[StoredToken]],
        store: TokenStore | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._base_url = base_url
        self._fetch = fetch
        self._store = store
        self._clock = clock
        self._kept: dict[str, Kept] = {}
        self._refused: dict[str, StoredToken] = {}
        self._fetched: dict[str, StoredToken] = {}
        self._fetching: dict[str, asyncio.Task[StoredToken | WecomError]] = {}
        self._key = functools.lru_cache(maxsize=KEYS)(self._made_key)

    async def get(self, agent: Agent) -> StoredToken | WecomError:
        """Returns errors: they are shared, and each who waits raises a copy."""
        key = self._key(agent)
        kept = self._kept.get(key)
        if kept and self._clock() < kept.renew_at:
            return kept.token
        found = await asyncio.shield(self._renewal(key, agent))
        if kept and isinstance(found, Unavailable | Busy | Limited):
            return kept.token if self._is_live(kept.token) else found
        return found

    async def fetch_anew(self, agent: Agent) -> None:
        """
        Raises:
            WecomError: as gettoken was answered, whatever is kept.

        """
        await self._fetch_and_keep(self._key(agent), agent)

    async def discard(self, agent: Agent, token: StoredToken) -> None:
        """WeCom refused exactly this one; a newer one stays."""
        key = self._key(agent)
        kept = self._kept.get(key)
        if kept and kept.token == token:
            del self._kept[key]
        if self._refused.get(key) == token:
            return
        # Noted before the store is asked: somebody may be loading it at this moment.
        self._refused[key] = token
        if self._store:
            await _survived(self._store.drop(key, token), "drop")

    def is_borrowed(self, agent: Agent, token: StoredToken) -> bool:
        """Whether another process has fetched it, nobody here knows when."""
        return self._fetched.get(self._key(agent)) != token

    async def aclose(self) -> None:
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _renewal(
        self, key: str, agent: Agent
    ) -> asyncio.Task[StoredToken | WecomError]:
        task = self._fetching.get(key)
        if task is None:
            task = asyncio.create_task(self._renew(key, agent))
            self._fetching[key] = task
            task.add_done_callback(lambda done: self._settle(key, done))
        return task

    def _settle(self, key: str, task: asyncio.Task[StoredToken | WecomError]) -> None:
        del self._fetching[key]
        if not task.cancelled():
            task.exception()  # Else asyncio complains when all who waited have left.

    async def _renew(self, key: str, agent: Agent) -> StoredToken | WecomError:
        stored = await self._load(key)
        if stored:
            return stored
        try:
            return await self._fetch_and_keep(key, agent)
        except WecomError as error:
            return error

    async def _load(self, key: str) -> StoredToken | None:
        """What another process stored, unless it is what is to be replaced."""
        token = await _survived(self._stored(key), "load")
        kept = self._kept.get(key)
        if token is None or token == self._refused.get(key):
            return None
        if kept and token == kept.token:
            return None
        return self._keep(key, token)

    async def _stored(self, key: str) -> StoredToken | None:
        token = await self._store.load(key) if self._store else None
        return token if token and self._is_live(token) else None

    async def _fetch_and_keep(self, key: str, agent: Agent) -> StoredToken:
        token = self._fetched[key] = self._keep(key, await self._fetch(agent))
        if self._store:
            await _survived(self._store.save(key, token), "save")
        return token

    def _keep(self, key: str, token: StoredToken) -> StoredToken:
        now = self._clock()
        early = min(EARLY, (token.expires_at - now) / 10)
        self._kept[key] = Kept(token, renew_at=token.expires_at - early)
        return token

    def _is_live(self, token: StoredToken) -> bool:
        return self._clock() < token.expires_at

    def _made_key(self, agent: Agent) -> str:
        """Over the whole secret: two apps of a corp may share its beginning."""
        parts = json.dumps([self._base_url, agent.corp_id, agent.secret])
        return hashlib.sha256(parts.encode()).hexdigest()


async def _survived(asked: Awaitable[T], verb: str) -> T | None:
    """
    The outcome, or None: an outage of the store is no outage of logins.

    What went wrong is logged by its kind alone, as the token may stand in its text.
    """
    try:
        async with asyncio.timeout(STORE_TIMEOUT):
            return await asked
    except Exception as error:  # noqa: BLE001 - the store may be any database.
        kind = type(error).__name__
        logger.warning("the token store failed to %s: %s", verb, kind)
        return None
