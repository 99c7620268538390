"""Indexes by which ended sessions and replaced refresh tokens are found."""

from __future__ import annotations

from tortoise import migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("models", "0003_lists_on_indexes")]

    operations = [
        ops.AddIndex("Session", Index(fields=["revoked_at"])),
        ops.AddIndex("RefreshToken", Index(fields=["replaced_at", "digest"])),
    ]
