from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from tortoise import fields
from tortoise.models import Model

from models import ids
from models.fields import Instant


class AccountAssociationMode(StrEnum):
    NONE = "NONE"
    FIELD_MATCHING = "FIELD_MATCHING"
    ASK_TO_BIND = "ASK_TO_BIND"


class MatchField(StrEnum):
    EMAIL = "EMAIL"
    PHONE = "PHONE"
    USERNAME = "USERNAME"
    EXTERNAL_ID = "EXTERNAL_ID"


class BindingMethod(StrEnum):
    USERNAME_PASSWORD = "USERNAME_PASSWORD"
    EMAIL_PASSWORD = "EMAIL_PASSWORD"
    PHONE_PASSWORD = "PHONE_PASSWORD"


class IdentitySource(Model):
    """A configured way to log in: one WeCom app of one corp."""

    id = fields.UUIDField(primary_key=True, default=ids.new)
    identifier = fields.CharField(max_length=31, unique=True)
    display_name = fields.CharField(max_length=64)
    display_name_key = fields.CharField(max_length=192)
    enabled = fields.BooleanField(default=True)
    login_only = fields.BooleanField(default=False)
    association_mode = fields.CharEnumField(
        AccountAssociationMode, max_length=16, default=AccountAssociationMode.NONE
    )
    # Comma-separated names of MatchField and BindingMethod: short, fixed vocabularies.
    match_fields = fields.CharField(max_length=64, default="")
    binding_methods = fields.CharField(max_length=64, default="")
    match_across_corps = fields.BooleanField(default=False)
    corp_id = fields.CharField(max_length=64)
    agent_id = fields.CharField(max_length=64)
    schema = fields.CharField(max_length=128)
    secret_sealed = fields.BinaryField()
    secret_key_id = fields.CharField(max_length=16)
    secret_hint = fields.CharField(max_length=4)
    secret_updated_at: datetime = Instant()
    # Counts changes of the agent or the secret: a refusal of older settings, still on
    # its way when an administrator mended them, must not be held against the new ones.
    settings_version = fields.IntField(default=1)
    problem_code = fields.IntField(null=True)
    problem_address = fields.CharField(max_length=45, null=True)
    problem_since: datetime | None = Instant(null=True)
    # Until then logins get the same answer without WeCom being asked.
    problem_until: datetime | None = Instant(null=True)
    created_at: datetime = Instant()
    updated_at: datetime = Instant()

    class Meta(Model.Meta):
        table = "identity_sources"
        indexes = (("display_name_key", "id"), ("corp_id",))
