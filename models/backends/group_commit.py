"""
Group commit: the short writes of one moment, in one transaction of SQLite's.

A transaction writes each page that it changed to the log, whole: twenty-five for a
login, of which most are the newest of their index, and change with every other login as
well. Sixteen that arrive together write them once: a returning login costs a fifth
less, and a third more of them are done in a second (docs/performance.md).

Each of the writes is done or not done by itself, as if it had a transaction of its own,
and nobody is told of it before all are committed.

While somebody else writes to the file, they wait for it together. When each went to
SQLite's thread instead, a fourth of all logins did at sixteen connections: what one of
them wrote there was in the way of the next, who went there as well.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

Work = Callable[[sqlite3.Connection], T]
"""Statements of a transaction; whoever calls it begins and ends that."""

Outcome = tuple[Any, Exception | None]
"""What a `Work` gave, or the error that undid it."""

# Works in one transaction: for half a millisecond each, nobody else is served.
MOST = 32

# Seconds between two looks at a file to which somebody else writes.
SHORTEST_PAUSE = 0.001
LONGEST_PAUSE = 0.025


class Busy(Exception):
    """Somebody else is writing. Nothing was done; soon it may be."""


class GroupCommit:
    """
    Gathers works, and has `commit` do all of them at once, when it is not `Busy`.

    What else `commit` raises, everybody is told. Whoever is cancelled before it is done
    asks for nothing; later, the work is done whole.
    """

    def __init__(
        self, commit: Callable[[Sequence[Work[Any]]], Sequence[Outcome]]
    ) -> None:
        self._commit = commit
        self._waiting: list[tuple[Work[Any], asyncio.Future[Any]]] = []
        self._pause = SHORTEST_PAUSE

    async def do(self, work: Work[T]) -> T:
        """What `work` gives, committed; however long somebody else writes."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            # Whoever is to run in this turn of the loop comes before that.
            loop.call_soon(self.flush)
        done: asyncio.Future[T] = loop.create_future()
        self._waiting.append((work, done))
        return await done

    def flush(self) -> None:
        """Do now what was asked for, or as soon as it can be."""
        wanted = [each for each in self._waiting if not each[1].done()]
        waiting, self._waiting = wanted[:MOST], wanted[MOST:]
        if not waiting:
            return
        loop = asyncio.get_running_loop()
        try:
            outcomes = self._commit([work for work, _ in waiting])
        except Busy:
            self._waiting = wanted
            loop.call_later(self._pause, self.flush)
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
            return
        except Exception as error:  # noqa: BLE001  Whoever asked is told.
            outcomes = [(None, error)] * len(waiting)
        self._pause = SHORTEST_PAUSE
        if self._waiting:
            loop.call_soon(self.flush)
        for (_, done), (result, failure) in zip(waiting, outcomes, strict=True):
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
