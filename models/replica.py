"""
Reads from a streaming replica, which must know everything that the primary knew.

A replica is always a little behind. Who reads right after writing, in this process or
in another, would miss the own change: so the primary is asked how far its log has been
written, and a replica that does not get there at once is passed over.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from asyncpg import PostgresError
from tortoise.exceptions import OperationalError

from models import database
from models.address import Address
from models.backends.asyncpg import BoundedAsyncpgClient
from models.statements import Observer

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds that a request gives the replica, before it asks the primary: with those of
# `database.PATIENCE` less than the six after which a client must have its answer.
PATIENCE = 0.8

# Seconds between two looks at a replica that is behind.
LOOKS = (0.0, 0.002, 0.005, 0.01, 0.02, 0.05)

# Seconds for which one that was behind, or did not answer, is left alone.
REST = 2.0

# Flushed is what may be sent to a replica, and every commit that was acknowledged is.
_WRITTEN = """
SELECT pg_current_wal_flush_lsn()::text AS position,
       system_identifier AS system FROM pg_control_system()
"""

# A server that was promoted is not in recovery any more, and another cluster's replica
# would show what is somebody else's.
_STANDS = """
SELECT pg_is_in_recovery() AND system_identifier = $2 AS follows,
       COALESCE(pg_last_wal_replay_lsn() >= CAST($1::text AS pg_lsn), FALSE) AS level,
       EXTRACT(EPOCH FROM now() - pg_last_xact_replay_timestamp())::float AS behind
FROM pg_control_system()
"""


class PassedOver(Exception):
    """The replica is behind, or is none, or hides what it is."""


class Replica:
    """
    The replica at `url`, beside the primary that `database.opened` has opened.

    `observe` is told of every statement, as there.
    """

    def __init__(self, url: str, *, observe: Observer | None = None) -> None:
        address = Address.parse(url, standby=True)
        # By the primary's name, a transaction stands in the primary's place: see
        # `backends/asyncpg.py`. Its silence is not told as the primary's is.
        self._client = BoundedAsyncpgClient(
            connection_name=address.dialect,
            observe=observe,
            tell=False,
            **address.credentials,
        )
        self._rests_until = 0.0

    async def answer(self, ask: Callable[[], Awaitable[T | None]]) -> T | None:
        """
        What `ask` reads there; None where the primary has to be asked.

        All that `ask` does with the database happens on the replica: in one
        transaction, since several replicas may stand behind one address.
        """
        if time.monotonic() < self._rests_until:
            return None
        try:
            with database.patience(PATIENCE):
                written = await _written()
                async with self._client._in_transaction():
                    await self._reach(*written)
                    return await ask()
        except (database.DatabaseUnavailable, PassedOver) as error:
            await self._pass_over(error)
            return None

    async def behind(self) -> float:
        """
        Seconds by which it follows the primary.

        :raises PassedOver: it follows another, or none.
        :raises DatabaseUnavailable: it did not answer in time, or the primary did not.
        """
        written = await _written()
        async with self._client._in_transaction():
            stands = await _stands(*written)
        return 0.0 if stands["level"] else stands["behind"] or 0.0

    async def close(self) -> None:
        await self._client.close()

    async def _reach(self, position: str, system: int) -> None:
        for pause in LOOKS:
            await asyncio.sleep(pause)
            if (await _stands(position, system))["level"]:
                return
        raise PassedOver

    async def _pass_over(self, error: Exception) -> None:
        now = time.monotonic()
        if now >= self._rests_until:
            cause = error.__cause__ or error
            logger.warning(
                "The replica is passed over: the primary is read",
                extra={"cause": type(cause).__qualname__},
            )
        self._rests_until = now + REST
        # The one of several that was the replica may be the primary now.
        self._client.expire()


async def _written() -> tuple[str, int]:
    row = await _told(_WRITTEN)
    return row["position"], row["system"]


async def _stands(position: str, system: int) -> database.Row:
    row = await _told(_STANDS, position, system)
    if not row["follows"]:
        raise PassedOver
    return row


async def _told(sql: str, *values: Any) -> database.Row:
    """The one row; some managed services hide what these functions tell."""
    try:
        [row] = await database.fetch(sql, *values)
    except (OperationalError, PostgresError) as error:
        raise PassedOver from error
    return row
