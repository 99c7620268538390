"""What the server itself keeps: keys, tokens for calling WeCom, leases."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from tortoise import fields
from tortoise.models import Model

from models import ids
from models.fields import Instant


class KeyPurpose(StrEnum):
    SIGNING = "SIGNING"
    DERIVING = "DERIVING"


class ServerKey(Model):
    """A key of the server's own, sealed under one of HEFU_SECRET_KEYS."""

    id = fields.UUIDField(primary_key=True, default=ids.new)
    purpose = fields.CharEnumField(KeyPurpose, max_length=8)
    # One key per purpose and number: of many processes that make one at once, one wins.
    number = fields.IntField()
    public_jwk = fields.TextField(null=True)
    sealed = fields.BinaryField()
    sealed_key_id = fields.CharField(max_length=16)
    created_at: datetime = Instant()
    # A key is published at once and used from here on.
    active_from: datetime = Instant()
    # Set once a successor is active; nothing it made is valid after that.
    verifies_until: datetime | None = Instant(null=True)

    class Meta(Model.Meta):
        table = "server_keys"
        unique_together = (("purpose", "number"),)


class WecomToken(Model):
    """An access token of WeCom's, shared by processes."""

    key = fields.CharField(max_length=128, primary_key=True)
    sealed = fields.BinaryField()
    sealed_key_id = fields.CharField(max_length=16)
    # Digest of the token, so that a refused one is dropped only if it is still here.
    digest = fields.CharField(max_length=64)
    expires_at: datetime = Instant()

    class Meta(Model.Meta):
        table = "wecom_tokens"


class Lease(Model):
    """Work that one process does at a time."""

    name = fields.CharField(max_length=32, primary_key=True)
    holder: uuid.UUID = fields.UUIDField()
    expires_at: datetime = Instant()

    class Meta(Model.Meta):
        table = "leases"
