"""What a login leaves behind so that nothing of it serves twice."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.models import Model

from models import ids
from models.fields import Instant


class Progress(StrEnum):
    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    SPENT = "SPENT"


class SpentCode(Model):
    """A code of WeCom's that was presented to a source, by its digest."""

    digest = fields.CharField(max_length=64, primary_key=True)
    # Digest of the code, the state and the verifier together: the very same request.
    request_digest = fields.CharField(max_length=64)
    progress = fields.CharEnumField(Progress, max_length=9)
    session_id: uuid.UUID | None = fields.UUIDField(null=True)
    key_id: uuid.UUID | None = fields.UUIDField(null=True)
    finished_at: datetime | None = Instant(null=True)
    created_at: datetime = Instant()
    expires_at: datetime = Instant()

    class Meta(Model.Meta):
        table = "spent_codes"
        indexes = (("expires_at",),)


class SpentState(Model):
    """A state of ours that was used, by its digest."""

    digest = fields.CharField(max_length=64, primary_key=True)
    expires_at: datetime = Instant()

    class Meta(Model.Meta):
        table = "spent_states"
        indexes = (("expires_at",),)


class BindingTicket(Model):
    """Leave to bind one outside identity, through one app and source."""

    digest = fields.CharField(max_length=64, primary_key=True)
    app_id: uuid.UUID = fields.UUIDField()
    identity_source_id: uuid.UUID = fields.UUIDField()
    issuer = fields.CharField(max_length=64)
    subject = fields.CharField(max_length=192)
    profile: dict[str, Any] = fields.JSONField()
    failures = fields.IntField(default=0)
    used_at: datetime | None = Instant(null=True)
    created_at: datetime = Instant()
    expires_at: datetime = Instant()

    class Meta(Model.Meta):
        table = "binding_tickets"
        indexes = (("expires_at",),)


class PasswordAttempt(Model):
    """
    A wrong password, or one that is being looked at.

    Written before the hash is computed and taken back when the password was right, so
    that guesses made at once count one another.
    """

    id = fields.UUIDField(primary_key=True, default=ids.new)
    # Digest of the account's id, or of the name that was typed where there is none.
    account = fields.CharField(max_length=64)
    address = fields.CharField(max_length=45)
    created_at: datetime = Instant()

    class Meta(Model.Meta):
        table = "password_attempts"
        indexes = (("account", "created_at"), ("created_at",))


class RateCounter(Model):
    """How many anonymous mutations one address or source made in one window."""

    key = fields.CharField(max_length=64, primary_key=True)
    count = fields.IntField()
    expires_at: datetime = Instant()

    class Meta(Model.Meta):
        table = "rate_counters"
        indexes = (("expires_at",),)
