from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.models import Model

from models import ids
from models.fields import Instant
from models.user import User


class IdentityProvider(StrEnum):
    WECOM = "WECOM"


class LinkOrigin(StrEnum):
    CREATED = "CREATED"
    FIELD_MATCHING = "FIELD_MATCHING"
    ASK_TO_BIND = "ASK_TO_BIND"
    LINKED_BY_USER = "LINKED_BY_USER"
    LINKED_BY_ADMIN = "LINKED_BY_ADMIN"


class Identity(Model):
    """
    One outside identity of an account.

    The two unique constraints are rules: a member is one account's at most, and an
    account holds one member of a corp at most. Races end at them.
    """

    id = fields.UUIDField(primary_key=True, default=ids.new)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name=False
    )
    user_id: uuid.UUID
    provider = fields.CharEnumField(
        IdentityProvider, max_length=16, default=IdentityProvider.WECOM
    )
    issuer = fields.CharField(max_length=64)
    subject = fields.CharField(max_length=192)
    # No foreign key: a source may be deleted while its identities stay with their corp.
    identity_source_id: uuid.UUID | None = fields.UUIDField(null=True)
    profile: dict[str, Any] = fields.JSONField()
    linked_at: datetime = Instant()
    linked_by = fields.CharEnumField(LinkOrigin, max_length=16)
    last_login_at: datetime | None = Instant(null=True)
    # When WeCom last vouched for the member, at a login or at a refresh.
    checked_at: datetime = Instant()

    class Meta(Model.Meta):
        table = "identities"
        unique_together = (
            ("provider", "issuer", "subject"),
            ("user_id", "provider", "issuer"),
        )
        indexes = (("identity_source_id", "user_id"),)
