"""
What has expired goes away: in small batches, by one process at a time.

A batch is one short transaction, so that logins never wait for it; the lease sees to it
that of many processes one does the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import datetime, timedelta

from models import BindingTicket, SpentCode, SpentState, database, ids
from services import refresh_tokens, sessions
from services.attempts import Attempts
from services.audit import Audit
from services.clock import Clock
from services.keys import Keys
from services.rates import Rates
from services.wecom_tokens import WecomTokens

BATCH = 500

# Seconds between batches: room for everybody else.
PAUSE = 0.02

LEASE = timedelta(minutes=10)

# Ended sessions stay that long, for whoever looks at an account after an incident.
SESSIONS_KEPT = timedelta(days=30)

# Replaced refresh tokens of living sessions: for so long reusing one is taken for
# theft. After that it is merely unknown.
CHAINS_KEPT = timedelta(days=30)

_LEASE = """
INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder,
    expires_at = excluded.expires_at
WHERE leases.expires_at <= $4 OR leases.holder = excluded.holder
RETURNING name
"""

_RELEASE = "DELETE FROM leases WHERE name = $1 AND holder = $2 RETURNING name"

Steps = AsyncGenerator[int]

_EXPIRED = """
DELETE FROM {table} WHERE digest IN (
    SELECT digest FROM {table} WHERE expires_at < $1 ORDER BY expires_at LIMIT $2
) RETURNING digest
"""


class Overtaken(Exception):
    """A batch took longer than the lease: somebody else goes on."""


class Pruning:
    """Deletes what has expired."""

    def __init__(
        self,
        *,
        clock: Clock,
        audit: Audit,
        attempts: Attempts,
        rates: Rates,
        keys: Keys,
        wecom_tokens: WecomTokens,
        audit_kept: timedelta | None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._audit = audit
        self._attempts = attempts
        self._rates = rates
        self._keys = keys
        self._wecom_tokens = wecom_tokens
        self._audit_kept = audit_kept
        self._sleep = sleep
        self._holder = ids.new()

    async def run(self) -> dict[str, int] | None:
        """
        Delete everything that has expired.

        :returns: how much of what; None where another process is at it.
        """
        if not await self._lease():
            return None
        try:
            return {name: await self._all(steps) for name, steps in self._work()}
        except Overtaken:
            return None
        finally:
            await database.fetch(_RELEASE, "prune", self._holder)

    def _work(self) -> list[tuple[str, Steps]]:
        now = self._clock()
        ended, replaced = now - SESSIONS_KEPT, now - CHAINS_KEPT
        return [
            ("codes", _expired(SpentCode.Meta.table, now)),
            ("states", _expired(SpentState.Meta.table, now)),
            ("tickets", _expired(BindingTicket.Meta.table, now)),
            ("sessions", sessions.prune(ended, limit=BATCH)),
            ("refresh tokens", refresh_tokens.prune(replaced, limit=BATCH)),
            ("password attempts", _repeated(self._attempts.prune)),
            ("rate counters", _repeated(self._rates.prune)),
            ("signing keys", _once(self._keys.prune)),
            ("WeCom tokens", _once(self._wecom_tokens.prune)),
            ("folded refusals", _repeated(self._audit.prune_folded)),
            ("audit events", _repeated(self._events)),
        ]

    async def _all(self, steps: Steps) -> int:
        """
        :raises Overtaken: the lease ran out, and another process holds it now.
        """
        deleted = 0
        async for count in steps:
            deleted += count
            if not await self._lease():
                raise Overtaken
            await self._sleep(PAUSE)
        return deleted

    async def _events(self, *, limit: int) -> int:
        if self._audit_kept is None:
            return 0
        before = self._clock() - self._audit_kept
        return await self._audit.prune(before, limit=limit)

    async def _lease(self) -> bool:
        now = self._clock()
        values = "prune", self._holder, now + LEASE, now
        return bool(await database.fetch(_LEASE, *values))


async def _repeated(batch: Callable[..., Awaitable[int]]) -> Steps:
    """Batch after batch, until one is not full."""
    count = BATCH
    while count == BATCH:
        count = await batch(limit=BATCH)
        yield count


async def _once(delete: Callable[[], Awaitable[int]]) -> Steps:
    yield await delete()


def _expired(table: str, now: datetime) -> Steps:
    async def batch(*, limit: int) -> int:
        return len(await database.fetch(_EXPIRED.format(table=table), now, limit))

    return _repeated(batch)
