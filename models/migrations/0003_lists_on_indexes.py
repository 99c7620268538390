"""
Indexes in the order that lists are read in.

Audit events are listed by their time, within one filter; accounts by their status; and
by their username, where those that have none come last: as the last code point. That
is a generated column: SQLite compares rows by an index of columns, not of expressions.
"""

from __future__ import annotations

from typing import Any

from tortoise import migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

FILTERS = (
    "action",
    "actor_id",
    "subject_id",
    "app_id",
    "identity_source_id",
    "failure",
    "request_id",
)

# No field of the model's: nothing writes it, and only lists read it.
COLUMN = {
    "sqlite": "TEXT GENERATED ALWAYS AS ({value}) VIRTUAL",
    "postgres": 'TEXT COLLATE "C" GENERATED ALWAYS AS ({value}) STORED',
}


async def order_by_username(apps: Any, editor: Any) -> None:
    # Not `execute_script`: SQLite commits before a script, and with it half a migration.
    column = COLUMN[editor.DIALECT].format(value="COALESCE(username_key, '\U0010ffff')")
    await editor.client.execute_query(
        f"ALTER TABLE users ADD COLUMN username_order {column}"
    )
    await editor.client.execute_query(
        "CREATE INDEX idx_users_username_order ON users (username_order, id)"
    )


class Migration(migrations.Migration):
    dependencies = [("models", "0002_compare_by_bytes")]

    operations = [
        *(ops.RemoveIndex("AuditEvent", fields=[name, "id"]) for name in FILTERS),
        ops.RemoveIndex("AuditEvent", fields=["occurred_at"]),
        *(
            ops.AddIndex("AuditEvent", Index(fields=[name, "occurred_at", "id"]))
            for name in FILTERS
        ),
        ops.AddIndex("AuditEvent", Index(fields=["occurred_at", "id"])),
        ops.AddIndex("User", Index(fields=["status", "id"])),
        ops.RunPython(order_by_username, ops.RunPython.noop),
    ]
