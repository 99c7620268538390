from __future__ import annotations

from datetime import datetime

from tortoise import fields
from tortoise.models import Model

from models import ids
from models.fields import Instant
from models.user import Role


class ApiKey(Model):
    """A key for back ends and consoles, kept as its digest."""

    id = fields.UUIDField(primary_key=True, default=ids.new)
    name = fields.CharField(max_length=64)
    role = fields.CharEnumField(Role, max_length=8)
    digest = fields.CharField(max_length=64, unique=True)
    prefix = fields.CharField(max_length=16)
    created_at: datetime = Instant()
    expires_at: datetime | None = Instant(null=True)
    last_used_at: datetime | None = Instant(null=True)
    revoked_at: datetime | None = Instant(null=True)

    class Meta(Model.Meta):
        table = "api_keys"
