"""
What has expired goes away: in small batches, by one process at a time.

A batch is one short transaction, so that logins never wait for it; the lease sees to it
that of many processes one does the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from models import BindingTicket, SpentCode, SpentState, database, ids
from services import sessions
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

# Replaced refresh tokens of living sessions: as long as reusing one is taken for theft.
CHAINS_KEPT = timedelta(days=30)

_LEASE = """
INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder,
    expires_at = excluded.expires_at
WHERE leases.expires_at <= $4 OR leases.holder = excluded.holder
RETURNING name
"""

_RELEASE = "DELETE FROM leases WHERE name = $1 AND holder = $2 RETURNING name"

_EXPIRED = """
DELETE FROM {table} WHERE digest IN (
    SELECT digest FROM {table} WHERE expires_at < $1 ORDER BY expires_at LIMIT $2
) RETURNING digest
"""


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
            return {
                name: await self._all(batch) for name, batch in self._batches().items()
            }
        finally:
            await database.fetch(_RELEASE, "prune", self._holder)

    def _batches(self) -> dict[str, Callable[[], Awaitable[int]]]:
        now = self._clock()
        ended, replaced = now - SESSIONS_KEPT, now - CHAINS_KEPT
        return {
            "codes": lambda: _expired(SpentCode.Meta.table, self._clock),
            "states": lambda: _expired(SpentState.Meta.table, self._clock),
            "tickets": lambda: _expired(BindingTicket.Meta.table, self._clock),
            "sessions": lambda: sessions.prune(ended, limit=BATCH),
            "replaced refresh tokens": lambda: sessions.prune_chains(
                replaced, limit=BATCH
            ),
            "password attempts": lambda: self._attempts.prune(limit=BATCH),
            "rate counters": self._rates.prune,
            "signing keys": self._keys.prune,
            "WeCom tokens": self._wecom_tokens.prune,
            "audit events": self._events,
        }

    async def _all(self, batch: Callable[[], Awaitable[int]]) -> int:
        deleted = 0
        while count := await batch():
            deleted += count
            if count < BATCH:
                break
            await self._lease()
            await self._sleep(PAUSE)
        return deleted

    async def _events(self) -> int:
        if self._audit_kept is None:
            return 0
        before = self._clock() - self._audit_kept
        return await self._audit.prune(before, limit=BATCH)

    async def _lease(self) -> bool:
        now = self._clock()
        values = "prune", self._holder, now + LEASE, now
        return bool(await database.fetch(_LEASE, *values))


async def _expired(table: str, clock: Clock) -> int:
    rows = await database.fetch(_EXPIRED.format(table=table), clock(), BATCH)
    return len(rows)
