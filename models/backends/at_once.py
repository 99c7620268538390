"""
SQLite without its thread, for what takes some dozens of microseconds.

aiosqlite has a thread for its connection: it is woken for each statement, waits for the
interpreter, and wakes the loop when it is done. For a row that is found by its key this
is several times the statement itself. So the loop has a connection of its own to the
same file, for looking up a few rows and for short writes. A returning login costs 26 %
less by it (docs/performance.md, "What was taken out of a login").

Nothing here may keep the loop waiting:

* A file that is locked is left to the thread at once (`busy_timeout` is 0); what many
  want to write then is written there as one.
* Nothing is synced. With `synchronous=normal` only a checkpoint does that, and one is
  made in another thread; with any other setting all writes are the thread's.

Whatever fails, but for a violated constraint, is left to the thread as well: it finds
the error anew, and has the words for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any, TypeVar, cast

from models.backends.file import File
from models.backends.group_commit import Busy, Outcome, Work, in_one_transaction
from models.outages import is_busy
from models.statements import Observer, Watched

T = TypeVar("T")

# Writes between two checkpoints: 20 MiB of log at the most, if all are logins.
CHECKPOINT_EVERY = 200

# Tests turn it off, to show that both ways end in the same.
AT_ONCE = True


class Declined(Exception):
    """It cannot be done at once: nothing was."""


class AtOnce:
    """A connection that is used by the loop itself, to the end of each call."""

    def __init__(
        self, file: File, pragmas: Mapping[str, Any], observe: Observer | None
    ) -> None:
        self._file = file
        self._pragmas = {**pragmas, "wal_autocheckpoint": 0}
        self._observe = observe
        self._connection: sqlite3.Connection | Watched | None = None
        self._writes = str(pragmas.get("synchronous")).lower() == "normal"
        self._written = 0

    def rows(self, sql: str, values: Sequence[Any]) -> list[sqlite3.Row]:
        """
        :raises Declined: ask the thread.
        """
        return self._run(lambda held: held.execute(sql, values).fetchall())

    def write(self, works: Sequence[Work[Any]]) -> list[Outcome]:
        """
        What each of `works` gave, in one transaction.

        :raises Busy: somebody else is writing.
        :raises Declined: let the thread do them.
        """
        if not self._writes:
            raise Declined
        try:
            outcomes = self._run(lambda held: in_one_transaction(held, works))
        except Declined as declined:
            if declined.__cause__ and is_busy(declined.__cause__):
                raise Busy from declined
            raise
        self._written += len(works)
        return outcomes

    def wants_checkpoint(self) -> bool:
        """Whether it is time for one; each is told once."""
        if self._written < CHECKPOINT_EVERY:
            return False
        self._written = 0
        return True

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _run(self, do: Callable[[Any], T]) -> T:
        if not AT_ONCE:
            raise Declined
        try:
            connection = self._connection or self._open()
            if isinstance(connection, Watched):
                return cast("T", connection.visit(do, (connection,), {}))
            return do(connection)
        except sqlite3.IntegrityError:
            raise
        except (sqlite3.Error, OSError) as error:
            raise Declined from error

    def _open(self) -> sqlite3.Connection | Watched:
        connection = self._file.connect()
        try:
            # The same that the thread has opened, or what it is told there is untrue.
            self._file.check()
            connection.row_factory = sqlite3.Row
            for name, value in self._pragmas.items():
                connection.execute(f"PRAGMA {name}={value}")
        except BaseException:
            connection.close()
            raise
        watched = Watched(connection, self._observe) if self._observe else connection
        self._connection = watched
        return watched


def checkpoint(file: File) -> None:
    """
    Move what was written from the log into the file, so that the log begins anew.

    By a connection of its own, and twice beside all others, who go on. They wait for
    the little that was written meanwhile, or a log that is written to without a pause
    would never end.
    """
    with closing(file.connect(timeout=0)) as connection:
        for mode in ("PASSIVE", "PASSIVE", "RESTART"):
            connection.execute(f"PRAGMA wal_checkpoint({mode})")
