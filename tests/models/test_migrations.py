"""
Within a major version migrations only add.

What is released runs beside what comes next, on one database: so whatever an old
version reads, writes or relies on has to stay as it was.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tortoise.migrations import operations as ops
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget

from models import database, migrating, migrations

ROOT = Path(__file__).parent.parent.parent
RELEASED = Path(__file__).with_name("released.json")
FOLDER = Path(migrations.__path__[0])
NAMES = sorted(path.stem for path in FOLDER.glob("[0-9]*.py"))
ADDING = [name for name in NAMES if not name.endswith(migrating.BREAKING)]

# An index is nothing that a statement names. What SQL or Python does is compared below.
ONLY_ADD = (
    ops.CreateModel,
    ops.AddField,
    ops.AddIndex,
    ops.RemoveIndex,
    ops.RunPython,
    ops.RunSQL,
)


@pytest.mark.parametrize("name", ADDING)
def test_each_operation_only_adds(name: str) -> None:
    migration = importlib.import_module(f"{migrations.__name__}.{name}").Migration
    for operation in migration.operations:
        kind = type(operation)
        assert issubclass(kind, ONLY_ADD), (
            f"{kind.__name__} takes something from versions that still run: name the"
            f" migration …{migrating.BREAKING} and begin a new major version"
        )


def test_what_is_released_is_never_changed() -> None:
    """`released.json`: of each version its migrations, and a digest of each file."""
    for version, files in json.loads(RELEASED.read_text()).items():
        for name, digest in files.items():
            now = hashlib.sha256((FOLDER / f"{name}.py").read_bytes()).hexdigest()
            assert now == digest, (
                f"{name} is released with {version}: databases have it as it was. Write"
                " another migration"
            )


def test_each_release_is_noted() -> None:
    """Each version that the changelog names, and no other."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    versions = set(re.findall(r"^## \[(\d+\.\d+\.\d+)\]", changelog, re.MULTILINE))
    noted = set(json.loads(RELEASED.read_text()))
    assert versions == noted, "run scripts/released VERSION, and commit it"


# ------------------------------------------------- what is done, in the catalogues


@dataclass(frozen=True)
class Column:
    kind: str
    required: bool
    # Whether a row may be written without it.
    fills: bool
    generated: bool


@dataclass
class Table:
    columns: dict[str, Column] = field(default_factory=dict)
    unique: set[frozenset[str]] = field(default_factory=set)
    others: set[str] = field(default_factory=set)


@pytest.mark.parametrize("name", ADDING)
async def test_each_schema_goes_on_in_the_newest(empty: str, name: str) -> None:
    """From each migration to the next ones, with a row in every table."""
    async with database.opened(empty, create=True):
        await migrate_to(name)
        before = await tables()
        for table, described in before.items():
            await fill(table, described)
        rows = {table: await database.fetch(select(table, before)) for table in before}
        await migrating.migrate()
        after = await tables()
        for table, described in before.items():
            assert_only_more(table, described, after[table])
            assert await database.fetch(select(table, before)) == rows[table]
        # What wrote before still writes.
        for table in before:
            await database.fetch(f'DELETE FROM "{table}"')  # noqa: S608
        for table, described in before.items():
            await fill(table, described)
            assert await database.fetch(select(table, before)) == rows[table]


def assert_only_more(name: str, before: Table, after: Table) -> None:
    added = after.columns.keys() - before.columns.keys()
    for column, described in before.columns.items():
        assert after.columns[column] == described, f"{name}.{column} was changed"
    for column in added:
        told = after.columns[column]
        assert told.fills, f"old versions write no {name}.{column}"
    # An upsert names its keys, and a new one would refuse what was right.
    assert before.unique <= after.unique, f"{name} lost a key"
    for key in after.unique - before.unique:
        assert key & added, f"{name} got a key of columns that old versions write"
    assert before.others == after.others, f"{name} got or lost a constraint"


async def migrate_to(name: str) -> None:
    async with database.transaction():
        module = {
            "models": ["models"],
            "migrations": migrations.__name__,
            "default_connection": database.dialect(),
        }
        executor = MigrationExecutor(database.connection(), {database.APP: module})
        await executor.recorder.ensure_schema(executor._schema_editor(atomic=False))
        await executor.migrate([MigrationTarget(database.APP, name)])


ID = uuid.UUID("01890a5d-ac96-774b-bcce-b302099a8057")
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)

VALUES: list[tuple[str, dict[str, Any]]] = [
    ("uuid", {"postgres": ID}),
    ("char(36)", {"sqlite": str(ID)}),
    ("bool", {"sqlite": 1, "postgres": True}),
    ("timestamp", {"sqlite": str(MOMENT), "postgres": MOMENT}),
    ("blob", {"sqlite": b"bytes"}),
    ("bytea", {"postgres": b"bytes"}),
    ("json", {"sqlite": "{}", "postgres": "{}"}),
    ("char", {"sqlite": "text", "postgres": "text"}),
    ("text", {"sqlite": "text", "postgres": "text"}),
    ("int", {"sqlite": 7, "postgres": 7}),
    ("small", {"sqlite": 7, "postgres": 7}),
]


async def fill(table: str, described: Table) -> None:
    """One row: every id, and every reference, is the same."""
    names = [name for name, each in described.columns.items() if not each.generated]
    columns = ", ".join(f'"{name}"' for name in names)
    values = [value(described.columns[name].kind) for name in names]
    places = ", ".join(f"${place}" for place in range(1, len(values) + 1))
    insert = f'INSERT INTO "{table}" ({columns}) VALUES ({places})'  # noqa: S608
    if database.dialect() == "sqlite":
        await database.fetch("PRAGMA foreign_keys = OFF")
        await database.fetch(insert, *values)
        return
    async with database.transaction():
        await database.fetch("SET LOCAL session_replication_role = replica")
        await database.fetch(insert, *values)


def value(kind: str) -> Any:
    dialect = database.dialect()
    return next(
        given[dialect]
        for part, given in VALUES
        if part in kind.lower() and dialect in given
    )


def select(table: str, described: dict[str, Table]) -> str:
    columns = ", ".join(f'"{name}"' for name in described[table].columns)
    return f'SELECT {columns} FROM "{table}"'  # noqa: S608


async def tables() -> dict[str, Table]:
    if database.dialect() == "sqlite":
        return {name: await sqlite_table(name) for name in await names(SQLITE_TABLES)}
    return {name: await postgres_table(name) for name in await names(POSTGRES_TABLES)}


SQLITE_TABLES = """
SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
AND name <> 'tortoise_migrations'
"""
POSTGRES_TABLES = """
SELECT relname AS name FROM pg_class WHERE relkind = 'r'
AND relnamespace = 'public'::regnamespace AND relname <> 'tortoise_migrations'
"""
POSTGRES_COLUMNS = """
SELECT attname AS name, format_type(atttypid, atttypmod) AS kind,
       attnotnull AS required, attgenerated <> '' AS generated,
       atthasdef OR attidentity <> '' AS has_default
FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0
AND NOT attisdropped ORDER BY attnum
"""
POSTGRES_KEYS = """
SELECT array_agg(a.attname::text) AS names FROM pg_index i
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
WHERE i.indrelid = $1::text::regclass AND i.indisunique GROUP BY i.indexrelid
"""
POSTGRES_CONSTRAINTS = """
SELECT pg_get_constraintdef(oid) AS text FROM pg_constraint
WHERE conrelid = $1::text::regclass AND contype IN ('f', 'c', 'x')
"""


async def names(sql: str) -> list[str]:
    return [row["name"] for row in await database.fetch(sql)]


async def postgres_table(name: str) -> Table:
    table = Table()
    for row in await database.fetch(POSTGRES_COLUMNS, name):
        fills = not row["required"] or row["has_default"] or row["generated"]
        table.columns[row["name"]] = Column(
            row["kind"], row["required"], fills, row["generated"]
        )
    for row in await database.fetch(POSTGRES_KEYS, name):
        table.unique.add(frozenset(row["names"]))
    for row in await database.fetch(POSTGRES_CONSTRAINTS, name):
        table.others.add(row["text"])
    return table


async def sqlite_table(name: str) -> Table:
    table = Table()
    for row in await pragma("table_xinfo", name):
        generated = row["hidden"] in {2, 3}
        required = bool(row["notnull"] or row["pk"])
        fills = not required or row["dflt_value"] is not None or generated
        table.columns[row["name"]] = Column(row["type"], required, fills, generated)
    for index in await pragma("index_list", name):
        if index["unique"]:
            parts = await pragma("index_info", index["name"])
            table.unique.add(frozenset(part["name"] for part in parts))
    for row in await pragma("foreign_key_list", name):
        given = {key: row[key] for key in ("table", "from", "to", "on_delete")}
        table.others.add(json.dumps(given))
    return table


async def pragma(what: str, name: str) -> Sequence[dict[str, Any]]:
    return await database.fetch(f'PRAGMA {what}("{name}")')
