"""
What tells that the database is at fault and not the statement, and how long one waits.

Both drivers have their own errors for a database that is locked, full, read-only,
restarting or gone: here they become `DatabaseUnavailable`, whether the statement came
from the ORM or was SQL of ours. What is left as it was is a bug, or a violated
constraint, which whoever caused it catches.

A table of Hefu's that is missing is an outage as well: the database was not migrated,
or not restored yet. SQL of ours that is wrong names a table that nobody has. A column
that is missing stays a bug: which of the two it is, its name alone does not tell.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, Token
from typing import Any, TypeVar

from asyncpg import (
    InterfaceError,
    InternalClientError,
    PostgresError,
    UndefinedTableError,
)
from tortoise.context import get_current_context
from tortoise.exceptions import BaseORMException, DBConnectionError

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds for which one request waits for the database, all of its statements together.
PATIENCE = 5.0

# An outage fails thousands of statements: the log hears of it once in so many seconds.
TOLD_EVERY = 1.0

# The classes of SQLSTATE that are about the statement: data, constraints, syntax,
# features and the order of commands. 25006 stands apart: the server takes no writes.
STATEMENT_CLASSES = {"0A", "21", "22", "23", "25", "2B", "2F", "34", "42", "44"}
READ_ONLY = "25006"
# This role lacks a right on what Hefu's migrations made: nothing that a caller sent.
DENIED = "42501"

# SQLite's, of the same kind: an error of SQL, a constraint, a value, a misuse.
STATEMENT_CODES = {
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_MISUSE,
    sqlite3.SQLITE_RANGE,
    sqlite3.SQLITE_TOOBIG,
}


class DatabaseUnavailable(Exception):
    """The database is locked, full, read-only, restarting, gone or not migrated."""


class Patience:
    """
    Seconds that may still be waited.

    Statements that run side by side wait the same second once.
    """

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._waiting = 0
        self._since = 0.0

    def left(self) -> float:
        if not self._waiting:
            return self._left
        return self._left - (time.monotonic() - self._since)

    def __enter__(self) -> None:
        """Somebody waits, until the block ends."""
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting += 1

    def __exit__(self, *_: object) -> None:
        left = self.left()
        self._waiting -= 1
        if not self._waiting:
            self._left = left


_current: ContextVar[Patience | None] = ContextVar("patience", default=None)


class patience:  # noqa: N801  Said as a function: `with patience(): …`.
    """
    Let the block wait so long for the database, in all.

    Without it each statement has the whole of `PATIENCE`: three that follow one another
    on a locked database would keep a client three times as long.
    """

    __slots__ = ("_seconds", "_token")

    _token: Token[Patience | None]

    def __init__(self, seconds: float = PATIENCE) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._token = _current.set(Patience(self._seconds))

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def counted() -> AbstractContextManager[None]:
    """What is waited for in the block counts, and is bounded by somebody else."""
    return _current.get() or nullcontext()


async def bounded(
    ask: Callable[..., Awaitable[T]], *values: Any, tell: bool = True
) -> T:
    """
    What the database answers to `ask(*values)`.

    :param tell: whether the log is told that it did not.
    :raises DatabaseUnavailable: it did not, or not in time.
    """
    patience = _current.get() or Patience(PATIENCE)
    left = patience.left()
    try:
        if left <= 0:
            raise TimeoutError
        with patience:
            async with asyncio.timeout(left):
                return await ask(*values)
    except Exception as error:
        if not is_outage(error):
            raise
        if tell:
            _tell(error)
        raise DatabaseUnavailable from error


def is_outage(error: BaseException) -> bool:
    """Whether it says that the database, and not the statement, is at fault."""
    error = root(error)
    if lacks_table(error):
        return True
    if isinstance(error, PostgresError):
        state = sqlstate(error) or ""
        return state in {READ_ONLY, DENIED} or state[:2] not in STATEMENT_CLASSES
    if isinstance(error, sqlite3.Error):
        return sqlite_code(error) not in STATEMENT_CODES
    connection = (InterfaceError, InternalClientError, DBConnectionError)
    return isinstance(error, (OSError, TimeoutError, *connection))


def lacks_table(error: BaseException) -> bool:
    """Whether it says that a table of Hefu's is missing."""
    text = str(error)
    missing = (
        isinstance(error, UndefinedTableError)
        # A FROM clause that lacks it has the same code.
        and getattr(error, "server_source_function", None) != "errorMissingRTE"
    ) or (isinstance(error, sqlite3.OperationalError) and "no such table" in text)
    # PostgreSQL has its sentence in many languages, and the name in none of its fields.
    return missing and not tables().isdisjoint(re.findall(r"\w+", text))


def tables() -> set[str]:
    """The names of Hefu's tables."""
    context = get_current_context()
    if context is None or context.apps is None:
        return set()
    return {
        model._meta.db_table for app in context.apps.values() for model in app.values()
    }


def is_busy(error: BaseException) -> bool:
    """Whether another process is writing to the SQLite file."""
    busy = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
    return sqlite_code(root(error)) in busy


def is_read_only(error: BaseException) -> bool:
    """Whether this PostgreSQL takes no writes, as one does that was demoted."""
    return sqlstate(root(error)) == READ_ONLY


def is_denied(error: BaseException) -> bool:
    """Whether PostgreSQL says that this role may not do that."""
    return sqlstate(root(error)) == DENIED


def sqlite_code(error: BaseException) -> int | None:
    """SQLite's primary result code; None for what is not SQLite's."""
    if not isinstance(error, sqlite3.Error):
        return None
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE)
    return code & 0xFF


def root(error: BaseException) -> BaseException:
    """The driver's error; the ORM wraps some of them, and of some forgets the cause."""
    while isinstance(error, BaseORMException):
        cause = error.__cause__ or error.__context__
        if cause is None:
            break
        error = cause
    return error


def sqlstate(error: BaseException) -> str | None:
    """PostgreSQL's code; None for what is not PostgreSQL's."""
    return getattr(error, "sqlstate", None)


_told_at = -TOLD_EVERY


def _tell(error: Exception) -> None:
    global _told_at  # noqa: PLW0603  A process has one log.
    now = time.monotonic()
    if now - _told_at < TOLD_EVERY:
        return
    _told_at = now
    cause = root(error)
    # Neither text nor values: an error's text may quote a row.
    name = sqlstate(cause) or getattr(cause, "sqlite_errorname", None)
    what = "The database does not answer"
    if lacks_table(cause):
        what = "The database lacks a table"
    elif is_denied(cause):
        what = "The database refuses this role something"
    logger.warning(
        what,
        extra={"cause": type(cause).__qualname__, "databaseCode": name},
    )
