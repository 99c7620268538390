"""
Group commit: the short writes of one moment, in one transaction of SQLite's.

A transaction writes each page that it changed to the log, whole: twenty-five for a
login, of which most are the newest of their index, and change with every other login as
well. Sixteen that arrive together write them once: a returning login costs a fifth
less, and a third more of them are done in a second (docs/performance.md).

Each of the writes is done or not done by itself, as if it had a transaction of its own,
and nobody is told of it before all are committed.
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


class GroupCommit:
    """
    Gathers works, and has `commit` do all of them at once.

    What `commit` raises, everybody is told. Whoever is cancelled before that asks for
    nothing; later, the work is done whole.
    """

    def __init__(
        self, commit: Callable[[Sequence[Work[Any]]], Sequence[Outcome]]
    ) -> None:
        self._commit = commit
        self._waiting: list[tuple[Work[Any], asyncio.Future[Any]]] = []

    async def do(self, work: Work[T]) -> T:
        """What `work` gives, committed."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            # Whoever is to run in this turn of the loop comes before that.
            loop.call_soon(self.flush)
        done: asyncio.Future[T] = loop.create_future()
        self._waiting.append((work, done))
        return await done

    def flush(self) -> None:
        """Do now what was asked for."""
        waiting, self._waiting = self._waiting, []
        waiting = [each for each in waiting if not each[1].done()]
        if not waiting:
            return
        try:
            outcomes = self._commit([work for work, _ in waiting])
        except Exception as error:  # noqa: BLE001  Whoever asked is told.
            outcomes = [(None, error)] * len(waiting)
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
