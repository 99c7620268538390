"""
Equal statements of one moment, sent together and committed once.

Each statement of its own is a call that wakes PostgreSQL, a turn of the loop, and a
commit that waits for the disk. What a crowd of logins writes goes to PostgreSQL as one
batch of one prepared statement, which is a transaction. Measured: docs/performance.md.

Each is done or not done by itself all the same: where one of them fails, the batch is
undone, and each is sent alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from models import outages
from models.turns import Turns

# In a batch: whoever is in it waits for the whole.
MOST = 32

V = TypeVar("V")

# Milliseconds that a batch waits for a row that somebody else has locked. Longer, and
# one account's trouble would be everybody's; shorter than PostgreSQL takes to look for
# a deadlock, so that it is never somebody else who has to give way.
LOCK_PATIENCE = 250

# For whatever follows in the same transaction.
BRIEFLY = f"set_config('lock_timeout', '{LOCK_PATIENCE}ms', true)"

# A lock that was waited for in vain, a deadlock, a row that somebody else has changed.
IN_THE_WAY = {"55P03", "40P01", "40001"}


@dataclass(slots=True)
class Waiting(Generic[V]):
    """
    Somebody who waits for their statement.

    :ivar order: what rows are locked by. Batches of two processes that lock the same
        rows lock them in one order, and so do not wait for one another.
    """

    order: str
    values: V
    done: asyncio.Future[None]


class Crowd(Generic[V]):
    """
    Everybody who sends one statement.

    `send_all` sends it with several values, all or none, and does not wait long for a
    lock; `send` sends it with one. Both run outside of any transaction. Whoever is
    cancelled before their batch begins asks for nothing; later, it is done whole.
    """

    def __init__(
        self,
        send_all: Callable[[Sequence[V]], Awaitable[None]],
        send: Callable[[V], Awaitable[None]],
    ) -> None:
        self._send_all = send_all
        self._send = send
        self._waiting: list[Waiting[V]] = []
        self._turns = Turns(self._do)

    async def do(self, values: V, order: str) -> None:
        """
        Raises what sending these values alone raises.

        :raises DatabaseUnavailable: the database did not answer in time.
        """
        self._turns.ask()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(order, values, done))
        await outages.bounded(_told, done)

    async def _do(self) -> None:
        waiting = [each for each in self._waiting if not each.done.done()]
        self._waiting = []
        if len(waiting) <= MOST:
            await self._do_batch(waiting)
            return
        starts = range(0, len(waiting), MOST)
        await asyncio.gather(
            *(self._do_batch(waiting[start : start + MOST]) for start in starts)
        )

    async def _do_batch(self, batch: list[Waiting[V]]) -> None:
        try:
            with outages.patience():
                if len(batch) == 1:
                    await self._do_alone(batch[0])
                elif not await self._did_together(batch):
                    await asyncio.gather(*map(self._do_alone, batch))
        except BaseException:
            for each in batch:
                each.done.cancel()
            raise

    async def _did_together(self, batch: list[Waiting[V]]) -> bool:
        """Not where some of them cannot be done: whose they are is found out alone."""
        if not batch:
            return True
        batch.sort(key=lambda each: each.order)
        try:
            await self._send_all([each.values for each in batch])
        except outages.DatabaseUnavailable as error:
            if _is_in_the_way(error):
                return False
            for each in batch:
                _fail(each, error)
        except Exception:  # noqa: BLE001
            return False
        else:
            for each in batch:
                _finish(each)
        return True

    async def _do_alone(self, waiting: Waiting[V]) -> None:
        try:
            await self._send(waiting.values)
        except Exception as error:  # noqa: BLE001  Whoever asked is told.
            _fail(waiting, error)
        else:
            _finish(waiting)


async def _told(done: asyncio.Future[None]) -> None:
    await done


def _is_in_the_way(error: outages.DatabaseUnavailable) -> bool:
    cause = error.__cause__
    return cause is not None and outages.sqlstate(outages.root(cause)) in IN_THE_WAY


def _finish(waiting: Waiting[V]) -> None:
    if not waiting.done.done():
        waiting.done.set_result(None)


def _fail(waiting: Waiting[Any], error: Exception) -> None:
    if not waiting.done.done():
        waiting.done.set_exception(error)
