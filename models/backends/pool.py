"""
Connections to PostgreSQL that are lent out, one to a statement or a transaction.

asyncpg's own pool makes a task, a proxy and a time-out for each loan, to reset session
state that nothing here uses: as much work as the statement itself. What it does besides
is done here: a connection that broke, that was left in a transaction, that has served
long or was of no use for long is closed and opened anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import asyncpg

# What a connection's process at the server has learnt takes memory for ever.
MOST_LOANS = 50_000

# Seconds. What stands between us and the server forgets connections that rest.
LONGEST_REST = 300.0

# Seconds for a farewell: what takes longer is cut off.
CLOSE_TIMEOUT = 1.0


@dataclass(slots=True, eq=False)
class _Kept:
    connection: asyncpg.Connection
    generation: int
    loans: int = 0
    rests_since: float = 0.0


class Pool:
    """
    At most `size` connections; whoever finds all of them lent waits in line.

    What is raised is what `connect` raised, or InterfaceError once it is being closed.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[asyncpg.Connection]], *, size: int
    ) -> None:
        self._connect = connect
        self._size = size
        self._slots = asyncio.Semaphore(size)
        self._generation = 0
        self._closing = False
        self._lent: dict[asyncpg.Connection, _Kept] = {}
        self._resting: list[_Kept] = []
        self._look: asyncio.TimerHandle | None = None
        self._farewells: set[asyncio.Task[None]] = set()

    @property
    def in_use(self) -> int:
        """Connections that are lent out at the moment."""
        return len(self._lent)

    async def lend(self) -> asyncpg.Connection:
        """A connection, until it is given to `take_back` or `drop`."""
        self._must_be_open()
        await self._slots.acquire()
        try:
            kept = self._rested() or _Kept(await self._connect(), self._generation)
        except BaseException:
            self._slots.release()
            raise
        kept.loans += 1
        self._lent[kept.connection] = kept
        return kept.connection

    def take_back(self, connection: asyncpg.Connection) -> None:
        """Never waits; whatever is wrong with the connection, it is out of the way."""
        kept = self._lent[connection]
        if not self._is_sound(kept) or connection.is_in_transaction():
            self.drop(connection)
            return
        del self._lent[connection]
        kept.rests_since = asyncio.get_running_loop().time()
        self._resting.append(kept)
        self._slots.release()
        self._look_later()

    def drop(self, connection: asyncpg.Connection) -> None:
        """
        Take it back from somebody who was interrupted.

        asyncpg has asked the server to give up the statement, and waits for its word:
        nobody else shall, and the connection counts until it is closed.
        """
        del self._lent[connection]
        if connection.is_closed():
            self._slots.release()
            return
        farewell = self._part(connection)
        farewell.add_done_callback(lambda _: self._slots.release())

    def expire(self) -> None:
        """Use no connection again that there is now."""
        self._generation += 1
        self._part_with_resting(lambda _: True)

    async def close(self) -> None:
        """Close what rests, and what is lent once it is given back."""
        self._closing = True
        self._part_with_resting(lambda _: True)
        for _ in range(self._size):
            await self._slots.acquire()
        if self._farewells:
            await asyncio.wait(self._farewells)

    def terminate(self) -> None:
        """Cut everything off."""
        self._closing = True
        for kept in (*self._lent.values(), *self._resting):
            kept.connection.terminate()

    def _must_be_open(self) -> None:
        if self._closing:
            raise asyncpg.InterfaceError("the pool is closing")

    def _rested(self) -> _Kept | None:
        self._must_be_open()
        while self._resting:
            kept = self._resting.pop()
            if self._is_sound(kept) and not self._has_rested_long(kept):
                return kept
            self._part(kept.connection)
        return None

    def _is_sound(self, kept: _Kept) -> bool:
        stale = kept.generation != self._generation or kept.loans >= MOST_LOANS
        return not (stale or self._closing or kept.connection.is_closed())

    def _has_rested_long(self, kept: _Kept) -> bool:
        now = asyncio.get_running_loop().time()
        return now - kept.rests_since >= LONGEST_REST

    def _look_later(self) -> None:
        if self._look is None:
            loop = asyncio.get_running_loop()
            self._look = loop.call_later(LONGEST_REST, self._look_through)

    def _look_through(self) -> None:
        self._look = None
        self._part_with_resting(self._has_rested_long)
        if self._resting:
            self._look_later()

    def _part_with_resting(self, unwanted: Callable[[_Kept], bool]) -> None:
        resting, self._resting = self._resting, []
        for kept in resting:
            if unwanted(kept):
                self._part(kept.connection)
            else:
                self._resting.append(kept)

    def _part(self, connection: asyncpg.Connection) -> asyncio.Task[None]:
        farewell = asyncio.create_task(_closed(connection))
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)
        return farewell


async def _closed(connection: asyncpg.Connection) -> None:
    # Whatever goes wrong, it is cut off, and there is nobody left to be told.
    with suppress(Exception):
        await connection.close(timeout=CLOSE_TIMEOUT)


Lent = tuple[Pool, asyncpg.Connection]


class Loan:
    """`async with`: a connection, given back at the end of the block."""

    __slots__ = ("_connection", "_lend", "_pool")

    def __init__(self, lend: Callable[[], Awaitable[Lent]]) -> None:
        self._lend = lend

    async def __aenter__(self) -> asyncpg.Connection:
        self._pool, self._connection = await self._lend()
        return self._connection

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            self._pool.drop(self._connection)
            return
        self._pool.take_back(self._connection)
