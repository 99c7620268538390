from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from tortoise import fields
from tortoise.models import Model

from models import ids
from models.fields import Instant


class Role(StrEnum):
    MEMBER = "MEMBER"
    VIEWER = "VIEWER"
    ADMIN = "ADMIN"
    OWNER = "OWNER"

    @property
    def rank(self) -> int:
        return _RANKS[self]


_RANKS = {role: rank for rank, role in enumerate(Role)}


class UserStatus(StrEnum):
    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"


class User(Model):
    """
    An account.

    A `…_key` is its field as it is compared: case-folded. `verified_…` repeats the key
    once the address is verified, so that a plain unique index says "among verified
    addresses" on every database.
    """

    id = fields.UUIDField(primary_key=True, default=ids.new)
    username = fields.CharField(max_length=64, null=True)
    username_key = fields.CharField(max_length=192, null=True, unique=True)
    display_name = fields.CharField(max_length=64, null=True)
    display_name_key = fields.CharField(max_length=192, null=True)
    email = fields.CharField(max_length=254, null=True)
    email_key = fields.CharField(max_length=762, null=True)
    verified_email = fields.CharField(max_length=762, null=True, unique=True)
    phone = fields.CharField(max_length=16, null=True)
    verified_phone = fields.CharField(max_length=16, null=True, unique=True)
    external_id = fields.CharField(max_length=128, null=True)
    external_id_key = fields.CharField(max_length=384, null=True, unique=True)
    # Not written: a picture is read from the identities, where WeCom's word is kept.
    # The column may go with a major version.
    avatar_url = fields.CharField(max_length=2048, null=True)
    role = fields.CharEnumField(Role, max_length=8, default=Role.MEMBER)
    status = fields.CharEnumField(UserStatus, max_length=8, default=UserStatus.ACTIVE)
    password_hash = fields.CharField(max_length=255, null=True)
    created_at: datetime = Instant()
    updated_at: datetime = Instant()
    last_login_at: datetime | None = Instant(null=True)
    # The place in the list by last login: `last_login_at`, but that it stays for a
    # minute (once for an hour: hence the name), so that not every login rewrites an
    # index. Null reads as the beginning of time.
    last_login_hour: datetime = Instant()

    class Meta(Model.Meta):
        table = "users"
        indexes = (
            ("display_name_key", "id"),
            ("email_key", "id"),
            ("phone", "id"),
            ("last_login_hour", "id"),
            ("role", "id"),
            ("status", "id"),
        )

    @property
    def email_verified(self) -> bool:
        return self.verified_email is not None

    @property
    def phone_verified(self) -> bool:
        return self.verified_phone is not None
