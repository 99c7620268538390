from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from tortoise import fields
from tortoise.models import Model

from models import ids
from models.fields import Instant


class AuditActorType(StrEnum):
    USER = "USER"
    API_KEY = "API_KEY"
    ANONYMOUS = "ANONYMOUS"
    SYSTEM = "SYSTEM"


class AuditEvent(Model):
    """
    Something that happened, who did it and which rule decided.

    No foreign keys: an event outlives everything that it names.
    """

    id = fields.UUIDField(primary_key=True, default=ids.new)
    occurred_at: datetime = Instant()
    action = fields.CharField(max_length=48)
    actor_type = fields.CharEnumField(AuditActorType, max_length=9)
    # TypeIDs, not UUIDs: an actor may be a user or a key, a subject anything.
    actor_id = fields.CharField(max_length=30, null=True)
    actor_name = fields.CharField(max_length=64, null=True)
    subject_id = fields.CharField(max_length=30, null=True)
    app_id: uuid.UUID | None = fields.UUIDField(null=True)
    identity_source_id: uuid.UUID | None = fields.UUIDField(null=True)
    failure = fields.CharField(max_length=32, null=True)
    wecom_error_code = fields.IntField(null=True)
    rule = fields.CharField(max_length=64, null=True)
    # Comma-separated names of fields.
    changed_fields = fields.CharField(max_length=512, default="")
    corp_id = fields.CharField(max_length=64, null=True)
    wecom_user_id = fields.CharField(max_length=64, null=True)
    count = fields.IntField(default=1)
    ip_address = fields.CharField(max_length=45, null=True)
    request_id = fields.CharField(max_length=32)

    class Meta(Model.Meta):
        table = "audit_events"
        # Events are listed newest first, by any one of these and between two moments.
        indexes = (
            ("action", "occurred_at", "id"),
            ("actor_id", "occurred_at", "id"),
            ("subject_id", "occurred_at", "id"),
            ("app_id", "occurred_at", "id"),
            ("identity_source_id", "occurred_at", "id"),
            ("failure", "occurred_at", "id"),
            ("request_id", "occurred_at", "id"),
            ("occurred_at", "id"),
        )


class FoldedRefusal(Model):
    """Which event counts the equal refusals of the last minute."""

    digest = fields.CharField(max_length=64, primary_key=True)
    event_id: uuid.UUID = fields.UUIDField()
    started_at: datetime = Instant()

    class Meta(Model.Meta):
        table = "folded_refusals"
        indexes = (("started_at",),)
