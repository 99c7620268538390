"""
SQLite for several processes on one file, and many requests on one connection.

* Tortoise opens transactions with a plain BEGIN: one that reads first and then writes
  is told "database is locked" at once when another process wrote in between, whatever
  the busy timeout. BEGIN IMMEDIATE waits for its turn instead.
* SQLite's own waiting blocks the one connection, and so everybody who only wants to
  read. Here whoever finds the file locked lets go of the connection, and asks again.
* A statement that is cancelled goes on in its thread. What ends a transaction is run to
  its end whatever happens to the request, or the next one would find it half open.
* A file that is deleted or replaced is noticed: `models/backends/file.py`.
* What is short does without the thread, where it can: `models/backends/at_once.py`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    Sequence,
)
from contextlib import asynccontextmanager, suppress
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import Any, TypeVar, cast

import aiosqlite
from tortoise.backends.base.client import (
    NestedTransactionContext,
    TransactionalDBClient,
    TransactionContext,
)
from tortoise.backends.sqlite.client import SqliteClient, SqliteTransactionWrapper
from tortoise.connection import ConnectionToken, get_connections
from tortoise.exceptions import IntegrityError

from models import outages
from models.backends.at_once import AtOnce, Declined, checkpoint
from models.backends.file import File
from models.backends.group_commit import (
    Busy,
    GroupCommit,
    Outcome,
    Work,
    in_one_transaction,
    in_transaction,
)
from models.backends.guarded import Guarded
from models.statements import Observer, watch_sqlite

T = TypeVar("T")

# Seconds between two looks at a file that another process has locked.
SHORTEST_PAUSE = 0.001
LONGEST_PAUSE = 0.025
# Seconds for what was abandoned, when all is closed.
CLOSE_TIMEOUT = 1.0

# After these another look through the same connection finds nothing better: the file
# was moved away, or its disk was.
BROKEN = {
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOTADB,
}

TABLES = "SELECT 1 FROM sqlite_master LIMIT 1"

# Enumerations are strings and bind as such; these two do not by themselves.
sqlite3.register_adapter(uuid.UUID, str)


class SharedSqliteClient(Guarded, SqliteClient):
    """`create`: whether the file is made where it is not there."""

    def __init__(
        self, *, observe: Observer | None = None, create: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        self._observe = observe
        self._file = File(self.filename, create=create)
        # Whose turn it is to wait for other processes: first come, first served.
        self._turn = asyncio.Lock()
        self._finishing: set[asyncio.Task[None]] = set()
        self._at_once = AtOnce(self._file, self.pragmas, observe)
        self._group = GroupCommit(self._write_at_once, self._write_in_turn)
        self._checkpoint: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Future[Any]] = set()

    async def create_connection(self, with_db: bool) -> None:
        """All pragmas, or no connection: without them it checks no foreign key."""
        # What cannot be opened is told here: aiosqlite's thread tells it to the loop
        # once more, and nobody can wait for that.
        found = await asyncio.to_thread(self._file.find)
        try:
            await self._open()
            self._file.opened(found)
        except BaseException:
            self.abandon()
            raise
        if self._observe is not None and self._connection is not None:
            watch_sqlite(self._connection, self._observe)

    async def _open(self) -> None:
        """As Tortoise does it, which makes the file that it does not find."""
        # A locked file is waited for here, and not in the thread.
        connection = aiosqlite.connect(
            self._file.uri, uri=True, isolation_level=None, timeout=0
        )
        self._connection = await connection
        cast("Any", connection)._conn.row_factory = sqlite3.Row
        # Before anything that writes: the file may be somebody's who is filling it.
        self._file.must_hold(await connection.execute_fetchall(TABLES))
        for name, value in self.pragmas.items():
            await connection.execute_fetchall(f"PRAGMA {name}={value}")
        # That opens the log, and whoever else is done with it leaves it there.
        await connection.execute_fetchall(TABLES)
        await self._post_connect()

    async def close(self) -> None:
        if self._finishing:
            await asyncio.wait(self._finishing)
        await self._group.drain()
        self._at_once.close()
        await super().close()
        if self._leaving:
            # Their threads have a last word for the loop, which is closed after this.
            await asyncio.wait(self._leaving, timeout=CLOSE_TIMEOUT)

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[aiosqlite.Connection]:
        """The connection, for nobody else meanwhile."""
        async with self._lock:
            yield await self.connected()
            self._file.check()

    async def connected(self) -> aiosqlite.Connection:
        """To the file that is there now; only for whoever has the lock."""
        if not self._is_open() and self._file.is_another():
            self.abandon()
        if self._connection is None:
            await self.create_connection(with_db=True)
        assert self._connection is not None  # noqa: S101
        return self._connection

    def abandon(self) -> None:
        """Open the file anew at the next statement."""
        self._at_once.close()
        connection, self._connection = self._connection, None
        leaving = connection.stop() if connection is not None else None
        if leaving is not None:
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def few_rows(self, query: str, values: Sequence[Any]) -> Sequence[Any]:
        if self._is_open():
            self.log.debug("%s: %s", query, values)
            with suppress(Declined):
                return self._at_once.rows(query, values)
        return await self.rows(query, values)

    async def brief(self, work: Work[T]) -> T:
        """
        Do `work` in a short transaction: without the thread if that is possible, and
        with what others want to write at this moment.

        :raises DatabaseUnavailable: the file stayed locked, or cannot be used.
        """
        if self._is_open():
            with suppress(Declined):
                told = self._in_context(work)
                return await outages.bounded(lambda: self._group.do(told))
        return await self.visit(lambda connection: in_transaction(connection, work))

    def _write_at_once(self, works: Sequence[Work[Any]]) -> Sequence[Outcome]:
        if not self._is_open():
            raise Declined
        if self._turn.locked():
            # They came first.
            raise Busy
        outcomes = self._at_once.write(works)
        self._file.check()
        self._checkpoint_now_and_then()
        return outcomes

    async def _write_in_turn(self, works: Sequence[Work[Any]]) -> Sequence[Outcome]:
        return await self.visit(
            lambda connection: in_one_transaction(connection, works)
        )

    def _in_context(self, work: Work[T]) -> Work[T]:
        """Who watches statements is told of these in the context of who asked."""
        if self._observe is None:
            return work
        context = copy_context()

        def told(connection: Any) -> T:
            return cast("T", context.run(connection.visit, work, (connection,), {}))

        return told

    def _checkpoint_now_and_then(self) -> None:
        running = self._checkpoint is not None and not self._checkpoint.done()
        if not running and self._at_once.wants_checkpoint():
            made = asyncio.to_thread(checkpoint, self._file)
            self._checkpoint = self.finish(made)

    def _is_open(self) -> bool:
        """Whether the file is open, and was there a moment ago."""
        return self._connection is not None and self._file.is_there()

    def check(self) -> None:
        """
        :raises OSError: what was committed is not in the file that the path leads to.
        """
        self._file.check()

    async def visit(self, do: Callable[[sqlite3.Connection], T]) -> T:
        """
        Run `do` in the connection's thread, whole even if the caller is cancelled.

        :raises DatabaseUnavailable: the file stayed locked, or cannot be used.
        """

        async def once() -> T:
            async with self.held() as connection:
                execute = cast("Any", connection)._execute
                return cast("T", await execute(do, connection._conn))

        return await self.guarded(once)

    # One connection, and so no pool.
    pool_size = 0

    def in_use(self) -> int:
        return int(self._lock.locked())

    def acquire_connection(self) -> Any:
        return self.held()

    async def guarded(self, ask: Callable[..., Awaitable[T]], *values: Any) -> T:
        return await outages.bounded(lambda: self._patiently(partial(ask, *values)))

    def finish(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Work that goes on to its end, whoever waits for it no longer."""
        task = asyncio.create_task(work)
        self._finishing.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._finishing.discard(task)
        # Read, so that nobody is told that nobody did.
        _ = task.cancelled() or task.exception()

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        try:
            return await ask()
        except Exception as error:
            if not self._is_busy(error):
                raise
        async with self._turn:
            return await self._in_turn(ask)

    async def _in_turn(self, ask: Callable[[], Awaitable[T]]) -> T:
        pause = SHORTEST_PAUSE
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            try:
                return await ask()
            except Exception as error:
                if not self._is_busy(error):
                    raise

    def _is_busy(self, error: Exception) -> bool:
        cause = outages.root(error)
        # What was opened while it was being filled has no tables for as long as it is.
        if outages.sqlite_code(cause) in BROKEN or outages.lacks_table(cause):
            self.abandon()
        return outages.is_busy(error)

    def _in_transaction(self) -> TransactionContext:
        return Transaction(self)


class ImmediateTransaction(Guarded, SqliteTransactionWrapper):
    async def begin(self) -> None:
        await self._connection.execute("BEGIN IMMEDIATE")

    async def execute_script(self, query: str) -> None:
        # Python's driver commits before it runs a script: half a migration, and with it
        # the lock that keeps other machines from the other half.
        for statement in _statements(query):
            await self.execute_query(statement)

    async def commit(self) -> None:
        try:
            await super().commit()
        except sqlite3.IntegrityError as error:
            raise IntegrityError(error) from error

    async def guarded(self, ask: Callable[..., Awaitable[T]], *values: Any) -> T:
        return await outages.bounded(ask, *values)

    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(ImmediateTransaction(self))


class Transaction(TransactionContext):
    """Holds the connection from BEGIN until COMMIT or ROLLBACK has been done."""

    def __init__(self, client: SharedSqliteClient) -> None:
        self._parent = client
        self._client = ImmediateTransaction(client)
        self._token: ConnectionToken | None = None

    async def __aenter__(self) -> TransactionalDBClient:
        await self._parent.guarded(self._begin)
        self._token = get_connections().set(self._client.connection_name, self._client)
        return self._client

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        get_connections().reset(self._token)
        ended = self._parent.finish(self._end(keep=kind is None))
        await outages.bounded(asyncio.shield, ended)

    async def _begin(self) -> None:
        await self._parent._lock.acquire()
        try:
            self._client._connection = await self._parent.connected()
        except BaseException:
            self._parent._lock.release()
            raise
        try:
            await self._client.begin()
        except BaseException:
            # Cancelled, BEGIN goes on in its thread: what undoes it queues behind it.
            self._parent.finish(self._end(keep=False))
            raise

    async def _end(self, *, keep: bool) -> None:
        try:
            if keep:
                await self._client.commit()
                self._parent.check()
                return
            await self._undo()
        except BaseException:
            # A full disk fails a COMMIT and may leave its transaction open.
            await self._undo()
            raise
        finally:
            self._parent._lock.release()

    async def _undo(self) -> None:
        try:
            await self._client._connection.rollback()
        except (sqlite3.Error, ValueError):
            self._parent.abandon()


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for part in script.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            if statement.strip(" \n;"):
                yield statement
            statement = ""


def get_client_class(db_info: dict[str, Any]) -> type[SharedSqliteClient]:
    return SharedSqliteClient
