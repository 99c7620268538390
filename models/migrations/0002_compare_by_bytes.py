"""
Sort and compare keys by their bytes, as SQLite does.

Under a database's own locale PostgreSQL sorts "a-b" after "ab" and cannot use an index
for the beginning of a string.
"""

from __future__ import annotations

from typing import Any

from tortoise import migrations
from tortoise.migrations import operations as ops

KEYS = {
    "identity_sources": ("identifier", "display_name_key"),
    "apps": ("name_key",),
    "users": (
        "username_key",
        "display_name_key",
        "email_key",
        "phone",
        "external_id_key",
    ),
}


async def compare_by_bytes(apps: Any, editor: Any) -> None:
    if editor.DIALECT != "postgres":
        return
    for table, columns in KEYS.items():
        for column in columns:
            kind = await editor.client.execute_query_dict(
                "SELECT format_type(atttypid, atttypmod) AS name FROM pg_attribute "
                "WHERE attrelid = $1::regclass AND attname = $2",
                [table, column],
            )
            await editor.client.execute_query(
                f'ALTER TABLE "{table}" ALTER COLUMN "{column}" '
                f'TYPE {kind[0]["name"]} COLLATE "C"'
            )


class Migration(migrations.Migration):
    dependencies = [("models", "0001_initial")]

    operations = [ops.RunPython(compare_by_bytes, ops.RunPython.noop)]
