"""
Several writes that happen all or not at all, in one step.

A transaction of six statements is eight round trips to PostgreSQL, and sixteen changes
of thread in SQLite's driver: for a login, more time than everything else that Hefu does
itself. Here PostgreSQL is sent one statement, in which each write is a common table
expression, and SQLite runs them one after the other, in one go.

The writes do not see one another (in PostgreSQL they share a snapshot): none may touch
a row that another one writes. Constraints are checked when all are done.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from sqlite3 import IntegrityError as SqliteIntegrityError
from typing import Any, cast

from asyncpg import DivisionByZeroError
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.exceptions import OperationalError
from tortoise.models import Model

from models import crowds, database, rows
from models.backends.guarded import Guarded


class Untouched(Exception):
    """A write that was to touch a row touched none: nothing of all was written."""


@dataclass(frozen=True, slots=True)
class Write:
    """
    One INSERT, UPDATE or DELETE, without RETURNING; `$1`, `$2` … are its values.

    :param needed: whether touching no row undoes everything.
    """

    sql: str
    values: tuple[Any, ...]
    needed: bool = False


def insert(row: Model) -> Write:
    """The INSERT of a row that was made, but not saved."""
    return Write(_insertion(type(row)), rows.values(row))


async def write(*writes: Write, order: str | None = None) -> None:
    """
    Do all of `writes`, or nothing.

    :param order: what is the same for all who write to the same rows. Given, the writes
        of a crowd may be sent and committed together (`models/crowds.py`).
    :raises Untouched: one that was needed touched no row.
    :raises Taken: a constraint was violated.
    :raises DatabaseUnavailable: the database did not answer in time.
    """
    client = cast("Guarded", database.connection())
    try:
        if client.capabilities.dialect == "sqlite":
            await _in_one_go(client, writes)
            return
        values = [value for each in writes for value in each.values]
        shape = tuple((each.sql, len(each.values), each.needed) for each in writes)
        sql = _one_statement(shape)
        if order is None:
            await client.rows(sql, values)
        else:
            batched = _one_statement(shape, crowds.BRIEFLY)
            await client.in_a_crowd(sql, batched, values, order)
    except SqliteIntegrityError as error:
        raise database.Taken(error) from error
    except OperationalError as error:
        if isinstance(error.__cause__, DivisionByZeroError):
            raise Untouched from None
        raise


@functools.cache
def _insertion(model: type[Model]) -> str:
    columns = list(model._meta.fields_db_projection.values())
    places = ", ".join(f"${place}" for place in range(1, len(columns) + 1))
    return (
        f'INSERT INTO "{model._meta.db_table}" ({", ".join(columns)}) VALUES ({places})'
    )


@functools.lru_cache(maxsize=256)
def _one_statement(shape: tuple[tuple[str, int, bool], ...], *first: str) -> str:
    """The writes as one statement; what is `first` is done before them."""
    parts: list[str] = []
    needs: list[str] = [*first]
    before = 0
    for number, (sql, count, needed) in enumerate(shape):
        numbered = _shifted(sql, before)
        parts.append(f"w{number} AS ({numbered} RETURNING 1)")
        if needed:
            # The only way out of a statement that also undoes it is an error.
            needs.append(f"1 / (SELECT count(*) FROM w{number})")
        before += count
    return f"WITH {', '.join(parts)} SELECT {', '.join(needs) or '1'}"


def _shifted(sql: str, by: int) -> str:
    return re.sub(r"\$(\d+)", lambda match: f"${int(match[1]) + by}", sql)


async def _in_one_go(client: BaseDBAsyncClient, writes: Sequence[Write]) -> None:
    prepared = [(_for_sqlite(each.sql), each.values, each.needed) for each in writes]

    def work(connection: Connection) -> None:
        for sql, values, needed in prepared:
            touched = connection.execute(sql, values).rowcount
            if needed and not touched:
                raise Untouched

    # Cancelled meanwhile, it still is done whole: a thread goes on by itself.
    await cast("Any", client).brief(work)


@functools.cache
def _for_sqlite(sql: str) -> str:
    return re.sub(r"\$(\d+)", r"?\1", sql)
