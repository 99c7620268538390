"""
PostgreSQL through asyncpg, with bounds on every wait.

* asyncpg resets a connection at each release (`pg_advisory_unlock_all`, `RESET ALL` …):
  a round trip per checkout for session state that nothing here uses. Open transactions
  are rolled back all the same.
* Its pool waits for ever for a free connection, and a statement for ever for an answer.
"""

from __future__ import annotations

from typing import Any

import asyncpg
from asyncpg.pool import Pool, PoolAcquireContext
from tortoise.backends.asyncpg.client import AsyncpgDBClient

# Seconds.
ACQUIRE_TIMEOUT = 5.0


class BoundedPool(Pool):  # type: ignore[misc]
    def acquire(self, *, timeout: float | None = ACQUIRE_TIMEOUT) -> PoolAcquireContext:
        return super().acquire(timeout=timeout)


async def keep_session_state(connection: asyncpg.Connection) -> None:
    """There is none to reset."""


class BoundedAsyncpgClient(AsyncpgDBClient):
    def __init__(self, *, port: list[int], **options: Any) -> None:
        super().__init__(**options)
        # One for each host: Tortoise knows of a single one.
        self.port = port  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]

    async def create_pool(self, **options: Any) -> asyncpg.Pool:
        return await BoundedPool(
            **options,
            max_queries=50_000,
            max_inactive_connection_lifetime=300.0,
            connect=None,
            setup=None,
            init=None,
            reset=keep_session_state,
            record_class=asyncpg.Record,
        )


def get_client_class(db_info: dict[str, Any]) -> type[BoundedAsyncpgClient]:
    return BoundedAsyncpgClient
