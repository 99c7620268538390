"""Bringing the database up to date, and telling whether it is."""

from __future__ import annotations

import enum
import pkgutil

from tortoise.migrations.executor import MigrationExecutor

from models import database, migrations

# A migration of this ending begins a new major version: what came before it no longer
# runs on the database. All others only add, so a rolling upgrade migrates first.
BREAKING = "_breaking"

# Seconds: for whoever migrates at the same time, and for an index on a large table.
PATIENCE = 3600

# Any number, the same for every Hefu: machines that migrate at once queue behind it.
_ADVISORY_LOCK = 0x6865_6675


class TooNew(Exception):
    """The database is of a newer major version, and none of this one's business."""


class Unfinished(Exception):
    """Migrations that were applied before are on no record; the text names them."""


class Standing(enum.Enum):
    """How the database stands to this version of Hefu."""

    SERVES = "this version runs on it"
    LACKS = "it lacks migrations"
    TOO_NEW = "it is of a newer major version"


async def migrate() -> list[str]:
    """
    Apply what is missing, all of it or nothing, and return the names of it.

    Tortoise's executor takes no lock, and records a migration after its transaction: a
    process killed in between leaves tables that the next run trips over. One
    transaction around the whole is both: SQLite's writes are exclusive anyway,
    PostgreSQL is asked for an advisory lock that ends with it.

    :raises TooNew: the database is of a newer major version.
    :raises Unfinished: its record of migrations has a hole.
    :raises DatabaseUnavailable: the database did not answer in time.
    """
    with database.patience(PATIENCE):
        return await _migrate()


async def _migrate() -> list[str]:
    async with database.transaction():
        if database.dialect() == "postgres":
            await database.fetch(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
        applied = await _applied()
        if _standing(applied) is Standing.TOO_NEW:
            raise TooNew
        missing = _missing(applied)
        if not missing:
            return []
        connection = database.connection()
        module = {
            "models": ["models"],
            "migrations": migrations.__name__,
            "default_connection": database.dialect(),
        }
        executor = MigrationExecutor(connection, {database.APP: module})
        # Before the executor asks what it holds: in PostgreSQL an error, even one that
        # is caught, ends the transaction.
        await executor.recorder.ensure_schema(executor._schema_editor(atomic=False))
        await executor.migrate()
        if left := await pending():
            raise Unfinished(", ".join(left))
    return missing


async def pending() -> list[str]:
    """The migrations that this version knows and the database lacks, in order."""
    return _missing(await _applied())


async def standing() -> Standing:
    """Whether this version runs on the database as it is now, and what is amiss."""
    return _standing(await _applied())


def _standing(applied: set[str]) -> Standing:
    if any(name.endswith(BREAKING) for name in applied.difference(_known())):
        return Standing.TOO_NEW
    return Standing.LACKS if _missing(applied) else Standing.SERVES


def _missing(applied: set[str]) -> list[str]:
    return [name for name in _known() if name not in applied]


def _known() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(migrations.__path__))


async def _applied() -> set[str]:
    if not await _recorded():
        return set()
    rows = await database.fetch("SELECT name FROM tortoise_migrations")
    return {row["name"] for row in rows}


async def _recorded() -> bool:
    """Whether anything was ever recorded: asking a missing table is an error."""
    catalogue = {
        "sqlite": "SELECT name FROM sqlite_master WHERE name = $1",
        "postgres": "SELECT to_regclass($1)::text AS name",
    }
    row = await database.fetch_one(catalogue[database.dialect()], "tortoise_migrations")
    return row is not None and row["name"] is not None
