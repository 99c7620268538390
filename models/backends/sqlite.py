"""
SQLite for several processes on one file.

Tortoise opens transactions with a plain BEGIN: one that reads first and then writes is
told "database is locked" at once when another process wrote in between, whatever the
busy timeout. BEGIN IMMEDIATE waits for its turn instead.
"""

from __future__ import annotations

import sqlite3
import uuid
from typing import Any

from tortoise.backends.base.client import TransactionContext
from tortoise.backends.sqlite.client import (
    SqliteClient,
    SqliteTransactionContext,
    SqliteTransactionWrapper,
)
from tortoise.exceptions import OperationalError

# Enumerations are strings and bind as such; these two do not by themselves.
sqlite3.register_adapter(uuid.UUID, str)


class ImmediateTransaction(SqliteTransactionWrapper):
    async def begin(self) -> None:
        try:
            await self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise OperationalError(error) from error


class SharedSqliteClient(SqliteClient):
    def _in_transaction(self) -> TransactionContext:
        return SqliteTransactionContext(ImmediateTransaction(self), self._lock)


def get_client_class(db_info: dict[str, Any]) -> type[SharedSqliteClient]:
    return SharedSqliteClient
