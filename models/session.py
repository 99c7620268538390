from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from tortoise import fields
from tortoise.models import Model

from models import ids
from models.fields import Instant
from models.user import User


class DevicePlatform(StrEnum):
    ANDROID = "ANDROID"
    IOS = "IOS"
    HARMONYOS = "HARMONYOS"
    OTHER = "OTHER"


class LoginResolution(StrEnum):
    LINKED = "LINKED"
    MATCHED = "MATCHED"
    BOUND = "BOUND"
    CREATED = "CREATED"
    PASSWORD = "PASSWORD"


class Session(Model):
    """
    One login on one device, and what keeps it alive.

    App, identity and source are named without foreign keys: a session outlives them as
    a record, and one that came through a deleted source must go on knowing so.
    """

    id = fields.UUIDField(primary_key=True, default=ids.new)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name=False
    )
    user_id: uuid.UUID
    app_id: uuid.UUID = fields.UUIDField()
    identity_id: uuid.UUID | None = fields.UUIDField(null=True)
    identity_source_id: uuid.UUID | None = fields.UUIDField(null=True)
    resolution = fields.CharEnumField(LoginResolution, max_length=8)
    device_name = fields.CharField(max_length=128, null=True)
    platform = fields.CharEnumField(DevicePlatform, max_length=16, null=True)
    os_version = fields.CharField(max_length=64, null=True)
    app_version = fields.CharField(max_length=64, null=True)
    installation_id = fields.CharField(max_length=128, null=True)
    ip_address = fields.CharField(max_length=45, null=True)
    user_agent = fields.CharField(max_length=512, null=True)
    created_at: datetime = Instant()
    last_seen_at: datetime = Instant()
    # The earlier of the idle end and the absolute one; a refresh moves it.
    expires_at: datetime = Instant()
    ends_at: datetime = Instant()
    revoked_at: datetime | None = Instant(null=True)

    class Meta(Model.Meta):
        table = "sessions"
        indexes = (
            ("user_id", "id"),
            ("identity_id",),
            ("identity_source_id",),
            ("app_id",),
            ("expires_at",),
            ("revoked_at",),
        )


class RefreshToken(Model):
    """
    One link of a session's chain: the digest of an opaque token.

    `key_id` names the server's key from which the successor is derived, so a phone that
    lost an answer can be given it again though nothing readable is stored.
    """

    digest = fields.CharField(max_length=64, primary_key=True)
    session: fields.ForeignKeyRelation[Session] = fields.ForeignKeyField(
        "models.Session", related_name=False
    )
    session_id: uuid.UUID
    key_id: uuid.UUID = fields.UUIDField()
    created_at: datetime = Instant()
    replaced_at: datetime | None = Instant(null=True)
    successor = fields.CharField(max_length=64, null=True)

    class Meta(Model.Meta):
        table = "refresh_tokens"
        indexes = (("session_id",), ("replaced_at", "digest"))
