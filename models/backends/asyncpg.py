"""
PostgreSQL through asyncpg, with bounds on every wait.

* asyncpg's pool resets a connection at each release (`pg_advisory_unlock_all`, `RESET
  ALL` …), and makes a task to do so: `models/backends/pool.py` does not.
* A statement waits for ever for an answer.
* Tortoise loses a connection of its pool whenever a BEGIN fails, and waits for a server
  that does not answer before it gives one back: ten such requests, and the pool is dry.
* asyncpg spends all of its time on the first of several hosts where that is silent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, TypeVar, cast

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import (
    NestedTransactionContext,
    TransactionalDBClient,
    TransactionContext,
)
from tortoise.backends.base_postgres.client import translate_exceptions
from tortoise.connection import ConnectionToken, get_connections
from tortoise.exceptions import IntegrityError, OperationalError

from models import outages
from models.backends.guarded import Guarded
from models.backends.pool import Lent, Loan, Pool
from models.crowds import Crowd
from models.statements import Observer, watch_postgres

T = TypeVar("T")

# Seconds. Connecting to one of several hosts: one that is silent must not keep us from
# the next.
HOST_TIMEOUT = 1.5
# Closing the pool, of the ten seconds that a stop may take.
CLOSE_TIMEOUT = 1.0


class Hosts:
    """Where PostgreSQL may be; the one that answered last is asked first."""

    def __init__(
        self, addresses: list[tuple[str, int]], observe: Observer | None = None
    ) -> None:
        self._addresses = addresses
        self._observe = observe

    async def connect(self, *_: Any, **options: Any) -> asyncpg.Connection:
        if len(self._addresses) == 1:
            return await self._connect(self._addresses[0], options)
        failures: list[Exception] = []
        for address in list(self._addresses):
            try:
                connection = await self._connect(
                    address, {**options, "timeout": HOST_TIMEOUT}
                )
            except Exception as error:
                if not outages.is_outage(error):
                    raise
                failures.append(error)
                continue
            self._addresses.remove(address)
            self._addresses.insert(0, address)
            return connection
        raise failures[-1]

    async def _connect(
        self, address: tuple[str, int], options: dict[str, Any]
    ) -> asyncpg.Connection:
        host, port = address
        given: dict[str, Any] = {**options, "host": host, "port": port}
        connection = await asyncpg.connect(**given)
        if self._observe is not None:
            watch_postgres(connection, self._observe)
        return connection


class BoundedAsyncpgClient(Guarded, AsyncpgDBClient):
    """`tell`: whether the log is told when the database does not answer."""

    def __init__(
        self,
        *,
        hosts: list[tuple[str, int]],
        observe: Observer | None = None,
        tell: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._tell = tell
        self._hosts = Hosts(hosts, observe)
        self._several = len(hosts) > 1
        self._finishing: set[asyncio.Task[None]] = set()
        self._crowds: dict[str, Crowd[Sequence[Any]]] = {}

    async def create_pool(self, **options: Any) -> Any:
        size = options.pop("max_size")
        for name in ("host", "port", "min_size"):
            options.pop(name, None)
        return Pool(partial(self._hosts.connect, **options), size=size)

    @property
    def pool_size(self) -> int:
        """Connections that may be lent out at once."""
        return self.pool_maxsize

    @property
    def pool(self) -> Pool | None:
        return cast("Pool | None", self._pool)

    def in_use(self) -> int:
        """Connections that are lent out at the moment."""
        return self.pool.in_use if self.pool else 0

    async def lent(self) -> Lent:
        """A connection, and the pool that it is to be given back to."""
        if self._pool is None:
            async with self._pool_init_lock:
                if self._pool is None:
                    await self.create_connection(with_db=True)
        pool = cast("Pool", self._pool)
        return pool, await pool.lend()

    def acquire_connection(self) -> Any:
        return Loan(self.lent)

    async def execute_query_dict(
        self, query: str, values: list[Any] | None = None
    ) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.rows(query, values or ())]

    async def rows(self, query: str, values: Sequence[Any]) -> Sequence[Any]:
        """As Tortoise does it, without its wrappers: most statements come this way."""
        return await self.guarded(self._rows, query, values)

    async def in_a_crowd(
        self, query: str, batched: str, values: Sequence[Any], order: str
    ) -> None:
        crowd = self._crowds.get(query)
        if crowd is None:
            crowd = Crowd(partial(self._all, batched), partial(self._one, query))
            self._crowds[query] = crowd
        await crowd.do(values, order)

    async def _all(self, query: str, batch: Sequence[Sequence[Any]]) -> None:
        await self.guarded(self._lend_to, _execute_all, query, batch)

    async def _one(self, query: str, values: Sequence[Any]) -> None:
        await self.rows(query, values)

    async def _rows(self, query: str, values: Sequence[Any]) -> list[asyncpg.Record]:
        return await self._lend_to(_fetch, query, values)

    async def _lend_to(
        self,
        ask: Callable[[asyncpg.Connection, str, Sequence[Any]], Awaitable[T]],
        query: str,
        values: Sequence[Any],
    ) -> T:
        pool, connection = await self.lent()
        self.log.debug("%s: %s", query, values)
        try:
            found = await ask(connection, query, values)
        except asyncio.CancelledError:
            pool.drop(connection)
            raise
        except BaseException as error:
            pool.take_back(connection)
            translated = _translated(error)
            if translated is None:
                raise
            raise translated from error
        pool.take_back(connection)
        return found

    async def guarded(self, ask: Callable[..., Awaitable[T]], *values: Any) -> T:
        try:
            return await outages.bounded(ask, *values, tell=self._tell)
        except outages.DatabaseUnavailable as error:
            await self.look_elsewhere(error)
            raise

    async def look_elsewhere(self, error: outages.DatabaseUnavailable) -> None:
        """A primary that was demoted answers as before; it just takes no writes."""
        cause = error.__cause__
        if self._several and cause is not None and outages.is_read_only(cause):
            self.expire()

    def expire(self) -> None:
        if self.pool is not None:
            self.pool.expire()

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

    async def _close(self) -> None:
        pool, self._pool = self.pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await pool.close()
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            pool.terminate()

    def _in_transaction(self) -> TransactionContext:
        return Transaction(self)


async def _fetch(
    connection: asyncpg.Connection, query: str, values: Sequence[Any]
) -> list[asyncpg.Record]:
    return cast("list[asyncpg.Record]", await connection.fetch(query, *values))


async def _execute_all(
    connection: asyncpg.Connection, query: str, batch: Sequence[Sequence[Any]]
) -> None:
    """All or none: asyncpg's `executemany` is a transaction."""
    # It is deaf to being cancelled while it waits for room in the socket, but not to a
    # timeout of its own.
    await connection.executemany(query, batch, timeout=outages.PATIENCE)


def _translated(error: BaseException) -> Exception | None:
    """What Tortoise makes of an error of asyncpg's, if anything."""
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        return IntegrityError(error)
    if isinstance(error, (asyncpg.SyntaxOrAccessError, asyncpg.DataError)):
        return OperationalError(error)
    return None


class PooledTransaction(Guarded, TransactionWrapper):
    async def guarded(self, ask: Callable[..., Awaitable[T]], *values: Any) -> T:
        return await cast("Guarded", self._parent).guarded(ask, *values)

    async def rows(self, query: str, values: Sequence[Any]) -> Sequence[Any]:
        return await self.guarded(self._rows, query, values)

    @translate_exceptions
    async def _rows(self, query: str, values: Sequence[Any]) -> list[asyncpg.Record]:
        async with self.acquire_connection() as connection:
            self.log.debug("%s: %s", query, values)
            return cast("list[asyncpg.Record]", await connection.fetch(query, *values))

    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(PooledTransaction(self))


class Transaction(TransactionContext):
    """Holds a connection from BEGIN until COMMIT or ROLLBACK has been done."""

    _lender: Pool

    def __init__(self, client: BoundedAsyncpgClient) -> None:
        self._parent = client
        self._client = PooledTransaction(client)
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
        if isinstance(error, (asyncio.CancelledError, outages.DatabaseUnavailable)):
            return
        await self._parent.guarded(asyncio.shield, ended)

    async def _begin(self) -> None:
        self._lender, connection = await self._parent.lent()
        self._client._connection = connection
        try:
            await self._client.begin()
        except BaseException:
            connection.terminate()
            self._lender.take_back(connection)
            raise

    async def _end(self, *, keep: bool) -> None:
        connection = self._client._connection
        try:
            async with asyncio.timeout(outages.PATIENCE):
                await (self._client.commit() if keep else self._client.rollback())
        except BaseException:
            # Whatever state it is in: the server rolls back what loses its connection.
            with suppress(asyncpg.InterfaceError):
                connection.terminate()
            if keep:
                raise
        finally:
            self._lender.take_back(connection)


def get_client_class(db_info: dict[str, Any]) -> type[BoundedAsyncpgClient]:
    return BoundedAsyncpgClient
