"""
The connection to the database: opening it, SQL beside the ORM, transactions.

The same SQL serves both dialects: placeholders are `$1`, `$2` …, and SQLite is given
`?1`, `?2` … instead.
"""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar, cast

from tortoise import Tortoise
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.context import require_context
from tortoise.exceptions import IntegrityError
from tortoise.fields import DatetimeField, Field, UUIDField
from tortoise.fields.data import CharEnumFieldInstance
from tortoise.models import Model
from tortoise.transactions import in_transaction

from models.address import Address
from models.backends.guarded import Guarded
from models.outages import PATIENCE, DatabaseUnavailable, patience
from models.statements import Observer

__all__ = [
    "PATIENCE",
    "DatabaseUnavailable",
    "Taken",
    "columns",
    "connection",
    "connections_in_use",
    "conversions",
    "dialect",
    "fetch",
    "fetch_one",
    "fetch_rows",
    "look_up",
    "look_up_one",
    "opened",
    "patience",
    "pool_size",
    "read",
    "reader",
    "transaction",
]

Row = dict[str, Any]
M = TypeVar("M", bound=Model)

APP = "models"

Taken = IntegrityError


def configuration(
    address: Address, observe: Observer | None = None, *, create: bool = False
) -> dict[str, Any]:
    """What Tortoise wants to know."""
    # Tortoise remembers statements by a connection's name: one per dialect, so that a
    # process may open the one database after the other.
    name = address.dialect
    credentials = {**address.credentials, "observe": observe}
    if address.dialect == "sqlite":
        credentials["create"] = create
    connection = {"engine": address.engine, "credentials": credentials}
    app = {
        "models": ["models"],
        "migrations": "models.migrations",
        "default_connection": name,
    }
    return {"connections": {name: connection}, "apps": {APP: app}}


@asynccontextmanager
async def opened(
    url: str, *, observe: Observer | None = None, create: bool = False
) -> AsyncGenerator[None]:
    """
    The database at `url`, for everything in this process until the block ends.

    Nothing is connected yet: a server starts without its database, and says so.
    `observe` is told of every statement.

    :param create: whether a SQLite file that is not there is made, with its folder.
        Otherwise that is an outage, as it is where PostgreSQL has no such database.
    """
    address = Address.parse(url)
    if create and address.dialect == "sqlite":
        folder = Path(address.credentials["file_path"]).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseUnavailable from error
    # What has to be converted differs between the dialects.
    _reading.cache_clear()
    _readers.cache_clear()
    conversions.cache_clear()
    # Requests are answered in other tasks than the one that opens: hence the fallback.
    context = await Tortoise.init(
        config=configuration(address, observe, create=create),
        _enable_global_fallback=True,
    )
    try:
        yield
    finally:
        await context.close_connections()
        context.__exit__(None, None, None)


def connection() -> BaseDBAsyncClient:
    """The open database; inside of a transaction, that transaction."""
    context = require_context()
    return context.connections.get(context.default_connection or "")


def connections_in_use() -> int:
    """How many connections of this process are lent out at the moment."""
    in_use: int = cast("Any", connection()).in_use()
    return in_use


def pool_size() -> int:
    """How many connections may be lent out at once; 0 where there is no pool."""
    size: int = cast("Any", connection()).pool_size
    return size


def dialect() -> str:
    """`sqlite` or `postgres`."""
    return connection().capabilities.dialect


async def fetch(sql: str, *values: Any) -> list[Row]:
    """
    The rows that `sql` gives, by column name.

    :raises DatabaseUnavailable: the database did not answer in time.
    :raises Taken: a constraint was violated.
    """
    return [dict(row) for row in await fetch_rows(sql, *values)]


async def fetch_rows(sql: str, *values: Any) -> Sequence[Any]:
    """
    As `fetch`, in the driver's own rows: by place or by name, without a dict for each.
    """
    client, sql = _prepared(sql)
    return await client.rows(sql, values)


async def look_up(sql: str, *values: Any) -> Sequence[Any]:
    """
    As `fetch_rows`, for a SELECT that finds some rows by an index and nothing else.

    SQLite is asked without a change of thread: nobody else is served meanwhile.
    """
    client, sql = _prepared(sql)
    return await client.few_rows(sql, values)


async def look_up_one(sql: str, *values: Any) -> Any | None:
    """The first row that `look_up` finds."""
    rows = await look_up(sql, *values)
    return rows[0] if rows else None


async def fetch_one(sql: str, *values: Any) -> Row | None:
    """The first row that `sql` gives."""
    rows = await fetch(sql, *values)
    return rows[0] if rows else None


@asynccontextmanager
async def transaction() -> AsyncGenerator[None]:
    """
    All of the block's statements, or none.

    Whatever must outlive a refusal (an audit event, an attempt that counts) is written
    outside. No call to WeCom may stand in it.

    :raises DatabaseUnavailable: the database did not answer in time.
    """
    async with in_transaction():
        yield


def columns(
    model: type[Model], alias: str, wanted: Collection[str] | None = None
) -> str:
    """
    Columns of `model` for a SELECT, named so that `read` finds them again.

    :param wanted: the fields to read; all of them where it is None.
    """
    return ", ".join(
        f'{alias}.{column} AS "{alias}.{column}"'
        for name, column in model._meta.fields_db_projection.items()
        if wanted is None or name in wanted
    )


def read(model: type[M], row: Mapping[str, Any], alias: str) -> M | None:
    """The `model` that `columns` named; None where an outer join found none."""
    key, names, values, converted, generated = _reading(model, alias)
    if row[key] is None:
        return None
    # As `Model._init_from_db` does it, which is given a dict of keywords and sets
    # attributes one by one: four times the time, and a list has hundreds of rows.
    read = model.__new__(model)
    attributes = vars(read)
    attributes["_partial"] = False
    attributes["_saved_in_db"] = True
    attributes["_custom_generated_pk"] = not generated
    attributes["_await_when_save"] = {}
    attributes.update(zip(names, values(row), strict=True))
    for name, column, convert in converted:
        attributes[name] = convert(row[column])
    return read


def reader(model: type[Model], field: str, alias: str) -> Reader:
    """What reads one field of a row that `columns` named."""
    column, convert = _readers(model, alias)[field]
    if convert is None:
        return itemgetter(column)
    return lambda row: convert(row[column])


@functools.cache
def conversions(model: type[Model]) -> Mapping[str, Convert | None]:
    """By a field's name, what its column's values have to go through, if anything."""
    return {name: convert for name, (_, convert) in _readers(model, "t").items()}


@functools.cache
def _readers(model: type[Model], alias: str) -> dict[str, tuple[str, Convert | None]]:
    native, converted = _fields(model, alias)
    plain: dict[str, tuple[str, Convert | None]] = {
        name: (column, None) for name, column in native
    }
    return plain | {name: (column, convert) for name, column, convert in converted}


def _prepared(sql: str) -> tuple[Guarded, str]:
    client = connection()
    if client.capabilities.dialect == "sqlite":
        sql = _for_sqlite(sql)
    return cast("Guarded", client), sql


Convert = Callable[[Any], Any]
Reader = Callable[[Mapping[str, Any]], Any]
Converted = list[tuple[str, str, Convert]]
Reading = tuple[str, list[str], Callable[[Any], tuple[Any, ...]], Converted, bool]


@functools.cache
def _reading(model: type[Model], alias: str) -> Reading:
    """The primary key's column, what is taken as it comes, and what is converted."""
    meta = model._meta
    native, converted = _fields(model, alias)
    names = [name for name, _ in native]
    values = _values_of([column for _, column in native])
    generated = meta.db_pk_column in meta.generated_db_fields
    return f"{alias}.{meta.db_pk_column}", names, values, converted, generated


def _values_of(columns: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(columns) > 1:
        return itemgetter(*columns)
    # Of one `itemgetter` would give the value itself.
    return lambda row: tuple([row[column] for column in columns])


def _fields(model: type[Model], alias: str) -> tuple[list[tuple[str, str]], Converted]:
    """Fields with their columns: those taken as they come, and those converted."""
    meta = model._meta
    native = [(name, f"{alias}.{column}") for column, name, _ in meta.db_native_fields]
    converted: Converted = [
        (name, f"{alias}.{column}", _unless_null(field.field_type))
        for column, name, field in meta.db_default_fields
    ]
    # asyncpg gives ids and moments as such, and a list has hundreds of them.
    given = (UUIDField, DatetimeField) if dialect() == "postgres" else ()
    for column, name, field in meta.db_complex_fields:
        if isinstance(field, given):
            native.append((name, f"{alias}.{column}"))
        else:
            converted.append((name, f"{alias}.{column}", _converting(field)))
    return native, converted


def _converting(field: Field[Any]) -> Convert:
    if isinstance(field, CharEnumFieldInstance):
        # What `Enum.__call__` does, without what it does around it.
        members: dict[str | None, Any] = {each.value: each for each in field.enum_type}
        return {None: None, **members}.__getitem__
    return field.to_python_value


def _unless_null(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else convert(value)


@functools.cache
def _for_sqlite(sql: str) -> str:
    return re.sub(r"\$(\d+)", r"?\1", sql)
