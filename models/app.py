from __future__ import annotations

import uuid
from datetime import datetime

from tortoise import fields
from tortoise.models import Model

from models import ids
from models.fields import Instant

ACCESS_TOKEN_LIFETIME = 900
REFRESH_TOKEN_LIFETIME = 2_592_000
SESSION_LIFETIME = 15_552_000


class App(Model):
    """A mobile app (or an admin frontend) that people log in to."""

    id = fields.UUIDField(primary_key=True, default=ids.new)
    name = fields.CharField(max_length=64)
    # Names are listed as people sort them, and searched in any case.
    name_key = fields.CharField(max_length=192)
    enabled = fields.BooleanField(default=True)
    require_state = fields.BooleanField(default=True)
    allow_sign_up = fields.BooleanField(default=True)
    allow_password_sign_in = fields.BooleanField(default=False)
    admin_access = fields.BooleanField(default=False)
    access_token_lifetime = fields.IntField(default=ACCESS_TOKEN_LIFETIME)
    refresh_token_lifetime = fields.IntField(default=REFRESH_TOKEN_LIFETIME)
    session_lifetime = fields.IntField(default=SESSION_LIFETIME)
    created_at: datetime = Instant()
    updated_at: datetime = Instant()

    class Meta(Model.Meta):
        table = "apps"
        indexes = (("name_key", "id"),)


class Association(Model):
    """An app that a source serves. A source without one serves nobody."""

    id = fields.UUIDField(primary_key=True, default=ids.new)
    app: fields.ForeignKeyRelation[App] = fields.ForeignKeyField(
        "models.App", related_name=False
    )
    app_id: uuid.UUID
    identity_source: fields.ForeignKeyRelation[Model] = fields.ForeignKeyField(
        "models.IdentitySource", related_name=False
    )
    identity_source_id: uuid.UUID
    created_at: datetime = Instant()

    class Meta(Model.Meta):
        table = "associations"
        unique_together = (("app_id", "identity_source_id"),)
        indexes = (("identity_source_id", "app_id"),)
