"""
Telling of each statement what it was and how long it took, where somebody listens.

Both drivers are watched from within, below the ORM and below SQL of ours: whoever sends
a statement, it is told of. Where nobody listens, nothing here is called.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, cast

import aiosqlite


@dataclass(frozen=True, slots=True)
class Statement:
    """
    One statement, done or failed, without its values.

    `began` and `ended` are nanoseconds since the epoch; `server` is the host and port
    that answered, where it is one.
    """

    system: str
    sql: str
    began: int
    ended: int
    error: BaseException | None
    server: tuple[str, int] | None = None


Observer = Callable[[Statement], None]
"""Called in the context of whoever asked; for SQLite in the connection's thread."""


def watch_postgres(connection: Any, observe: Observer) -> None:
    """Tell of everything that this connection of asyncpg's is sent."""

    def told(query: Any) -> None:
        ended = time.time_ns()
        began = ended - int(query.elapsed * 1e9)
        # A Unix socket is a path; a host and a port say which of several it was.
        server = query.conn_addr if isinstance(query.conn_addr, tuple) else None
        sql, error = query.query, query.exception
        observe(Statement("postgresql", sql, began, ended, error, server))

    connection.add_query_logger(told)


def watch_sqlite(connection: aiosqlite.Connection, observe: Observer) -> None:
    """Tell of everything that is done through this connection."""
    inner = cast("Any", connection)
    execute: Callable[..., Awaitable[Any]] = inner._execute
    watched = Watched(inner._connection, observe)

    async def in_context(do: Callable[..., Any], *given: Any, **named: Any) -> Any:
        # The connection's thread knows nothing of the request that it works for.
        return await execute(copy_context().run, watched.visit, do, given, named)

    inner._connection = watched
    inner._execute = in_context


class Watched:
    """sqlite3's connection. A statement lasts until the next, or the visit's end."""

    def __init__(self, connection: sqlite3.Connection, observe: Observer) -> None:
        self._connection = connection
        self._observe = observe
        self._sql: str | None = None
        self._began = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def visit(
        self, do: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any]
    ) -> Any:
        try:
            return do(*given, **named)
        except BaseException as error:
            self._end(error)
            raise
        finally:
            self._end(None)

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        self._begin(sql)
        return self._connection.execute(sql, *values)

    def executemany(self, sql: str, *values: Any) -> sqlite3.Cursor:
        self._begin(sql)
        return self._connection.executemany(sql, *values)

    def executescript(self, script: str) -> sqlite3.Cursor:
        self._begin(script)
        return self._connection.executescript(script)

    def commit(self) -> None:
        if self._connection.in_transaction:
            self._begin("COMMIT")
        self._connection.commit()

    def rollback(self) -> None:
        if self._connection.in_transaction:
            self._begin("ROLLBACK")
        self._connection.rollback()

    def _begin(self, sql: str) -> None:
        self._end(None)
        self._sql, self._began = sql, time.time_ns()

    def _end(self, error: BaseException | None) -> None:
        if self._sql is None:
            return
        sql, self._sql = self._sql, None
        statement = Statement("sqlite", sql, self._began, time.time_ns(), error)
        self._observe(statement)
