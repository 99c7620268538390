"""
Indexes in the order that lists are read in.

Audit events are listed by their time, within one filter; accounts by their status; and
by their username, where those that have none come last: as the last code point.
"""

from __future__ import annotations

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
        ops.RunSQL(
            "CREATE INDEX idx_users_username_last ON users "
            "(COALESCE(username_key, '\U0010ffff'), id)",
            reverse_sql="DROP INDEX idx_users_username_last",
        ),
    ]
