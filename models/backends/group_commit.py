"""
Group commit: the short writes of one moment, in one transaction of SQLite's.

A transaction writes each page that it changed to the log, whole: twenty-five for a
login, of which most are the newest of their index, and change with every other login as
well. Sixteen that arrive together write them once: a returning login costs a fifth
less, and a third more of them are done in a second (docs/performance.md).

Each of the writes is done or not done by itself, as if it had a transaction of its own,
and nobody is told of it before all are committed.

While somebody else writes to the file, they wait for their turn together, as one of
those who wait for it in SQLite's thread. When each went there by itself, a fourth of
all logins did at sixteen connections: what one of them wrote there was in the way of
the next, who went there as well.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from models.outages import patience

T = TypeVar("T")

Work = Callable[[sqlite3.Connection], T]
"""Statements of a transaction; whoever calls it begins and ends that."""

Outcome = tuple[Any, Exception | None]
"""What a `Work` gave, or the error that undid it."""

# Works in one transaction: for half a millisecond each, nobody else is served.
MOST = 32


class Busy(Exception):
    """Somebody else is writing: nothing was done."""


Waiting = tuple[Work[Any], "asyncio.Future[Any]"]


class GroupCommit:
    """
    Gathers works, and has `commit` do all of them at once.

    Where that is `Busy`, they are left to `commit_in_turn`, and what is asked for
    meanwhile follows on its heels. What either raises, everybody is told. Whoever is
    cancelled before their work is begun asks for nothing; later, it is done whole.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Work[Any]]], Sequence[Outcome]],
        commit_in_turn: Callable[[Sequence[Work[Any]]], Awaitable[Sequence[Outcome]]],
    ) -> None:
        self._commit = commit
        self._commit_in_turn = commit_in_turn
        self._waiting: list[Waiting] = []
        self._in_turn: asyncio.Task[None] | None = None

    async def do(self, work: Work[T]) -> T:
        """What `work` gives, committed."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            # Whoever is to run in this turn of the loop comes before that.
            loop.call_soon(self._flush)
        done: asyncio.Future[T] = loop.create_future()
        self._waiting.append((work, done))
        return await done

    async def drain(self) -> None:
        """Do what was asked for by now."""
        while self._waiting or self._in_turn:
            if self._in_turn:
                await asyncio.wait([self._in_turn])
            self._flush()

    def _flush(self) -> None:
        if self._in_turn:
            return
        wanted = [each for each in self._waiting if not each[1].done()]
        batch, self._waiting = wanted[:MOST], wanted[MOST:]
        if not batch:
            return
        loop = asyncio.get_running_loop()
        try:
            outcomes = self._commit([work for work, _ in batch])
        except Busy:
            # A task of its own: whoever gives up takes nothing from the others.
            self._in_turn = loop.create_task(self._wait_for_turn(batch))
            return
        except Exception as error:  # noqa: BLE001  Whoever asked is told.
            outcomes = [(None, error)] * len(batch)
        _tell(batch, outcomes)
        if self._waiting:
            loop.call_soon(self._flush)

    async def _wait_for_turn(self, batch: list[Waiting]) -> None:
        outcomes: Sequence[Outcome]
        try:
            # Not what the first has left: each waits as long as its own lasts.
            with patience():
                outcomes = await self._commit_in_turn([_wanted(each) for each in batch])
        except Exception as error:  # noqa: BLE001  Whoever asked is told.
            outcomes = [(None, error)] * len(batch)
        except BaseException:
            for _, done in batch:
                done.cancel()
            raise
        finally:
            self._in_turn = None
        _tell(batch, outcomes)
        self._flush()


def _wanted(waiting: Waiting) -> Work[Any]:
    """The work, unless by its turn nobody waits for it: they may ask anew."""
    work, done = waiting
    return lambda connection: None if done.done() else work(connection)


def _tell(batch: Sequence[Waiting], outcomes: Sequence[Outcome]) -> None:
    for (_, done), (result, failure) in zip(batch, outcomes, strict=True):
        if done.done():
            continue
        if failure is None:
            done.set_result(result)
        else:
            done.set_exception(failure)


def in_transaction(connection: sqlite3.Connection, work: Work[T]) -> T:
    """What `work` gives, committed; or nothing done."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        done = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        # Nothing where SQLite has undone it by itself, as it does on a full disk.
        connection.rollback()
        raise
    return done


def in_one_transaction(
    connection: sqlite3.Connection, works: Sequence[Work[Any]]
) -> list[Outcome]:
    """
    What each of `works` gave, or the violated constraint that undid it.

    :raises sqlite3.Error: of any other kind, or the constraint that the only one
        violated: nothing was done.
    """
    if len(works) == 1:
        return [(in_transaction(connection, works[0]), None)]

    def all_of_them(connection: sqlite3.Connection) -> list[Outcome]:
        return [_apart(connection, work) for work in works]

    return in_transaction(connection, all_of_them)


def _apart(connection: sqlite3.Connection, work: Work[Any]) -> Outcome:
    connection.execute("SAVEPOINT apart")
    outcome: Outcome
    try:
        outcome = work(connection), None
    except Exception as error:
        if _concerns_all(error):
            raise
        connection.execute("ROLLBACK TO apart")
        outcome = None, error
    connection.execute("RELEASE apart")
    return outcome


def _concerns_all(error: Exception) -> bool:
    """Whether it is about the file or its disk, and not about one of the writes."""
    is_constraint = isinstance(error, sqlite3.IntegrityError)
    return isinstance(error, sqlite3.Error) and not is_constraint
