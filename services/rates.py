"""
How often an address, or everybody at one source, may call what needs no credential.

A process takes permits from the database in handfuls, so that all processes together
keep to the limit while most calls cost no statement. What it has taken and not used
when a window ends is lost: with many processes the limit is met a little early.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from models import IdentitySource, database, digests, outages
from services.callers import Caller
from services.clock import Clock
from services.refusals import RateLimited
from services.settings import Rate

# Of a limit, what a process takes at once: with ten processes at most a fifth is lost.
HANDFUL = 50

# Addresses that a process remembers; the database remembers the others.
REMEMBERED = 10_000

_TAKE = """
INSERT INTO rate_counters (key, count, expires_at) VALUES ($1, $2, $3)
ON CONFLICT (key) DO UPDATE SET count = rate_counters.count + excluded.count
RETURNING count
"""


_OVER = """
DELETE FROM rate_counters WHERE key IN (
    SELECT key FROM rate_counters WHERE expires_at < $1 ORDER BY expires_at LIMIT $2
) RETURNING key
"""


@dataclass(slots=True)
class _Window:
    ends_at: datetime
    permits: int = 0
    exhausted: bool = False
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def wants_more(self) -> bool:
        return not self.permits and not self.exhausted


@functools.lru_cache(maxsize=REMEMBERED)
def neighbourhood(address: str) -> str:
    """
    The address, or of IPv6 its /64: the least that anybody is given.

    One machine there has 2⁶⁴ addresses, and counted each by itself none had a limit.
    """
    try:
        read = ipaddress.ip_address(address)
    except ValueError:
        return address
    if read.version == 4:  # noqa: PLR2004
        return str(read)
    return str(ipaddress.ip_network((read, 64), strict=False))


class Rates:
    """Counts anonymous mutations, per address and per source."""

    def __init__(self, *, clock: Clock, per_address: Rate, per_source: Rate) -> None:
        self._clock = clock
        self._per_address = per_address
        self._per_source = per_source
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    async def check(self, caller: Caller, source: IdentitySource | None) -> None:
        """
        Count one call.

        :raises RateLimited: with the seconds until the window ends.
        """
        place = neighbourhood(caller.origin.ip_address)
        await self._count(f"address {place}", self._per_address, "rate.address")
        if source is not None:
            await self._count(f"source {source.id}", self._per_source, "rate.source")

    async def prune(self, *, limit: int) -> int:
        """Delete at most `limit` windows that have ended."""
        return len(await database.fetch(_OVER, self._clock(), limit))

    async def _count(self, name: str, rate: Rate, rule: str) -> None:
        if rate.limit is None:
            return
        now = self._clock()
        window = self._window(name, rate, now)
        while window.wants_more():
            # One at a time: a handful is for those who wait as well. Each with one of
            # its own, fifty who come together would take the whole limit.
            await outages.bounded(window.turn.acquire)
            try:
                if window.wants_more():
                    await self._take(name, rate, rate.limit, window)
            finally:
                window.turn.release()
        if not window.permits:
            left = (window.ends_at - now).total_seconds()
            raise RateLimited(rule, retry_after=max(int(left) + 1, 1))
        window.permits -= 1

    def _window(self, name: str, rate: Rate, now: datetime) -> _Window:
        window = self._windows.get(name)
        if window is None or window.ends_at <= now:
            seconds = int(now.timestamp()) // rate.seconds * rate.seconds + rate.seconds
            ends_at = datetime.fromtimestamp(seconds, now.tzinfo)
            window = self._windows[name] = _Window(ends_at)
        self._windows.move_to_end(name)
        if len(self._windows) > REMEMBERED:
            self._windows.popitem(last=False)
        return window

    async def _take(self, name: str, rate: Rate, limit: int, window: _Window) -> None:
        handful = max(limit // HANDFUL, 1)
        key = digests.of(name, window.ends_at.isoformat())
        kept = window.ends_at + timedelta(seconds=rate.seconds)
        row = await database.fetch_one(_TAKE, key, handful, kept)
        taken = row["count"] if row else handful
        granted = max(handful - max(taken - limit, 0), 0)
        window.permits += granted
        window.exhausted = granted < handful
