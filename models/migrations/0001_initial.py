from orjson import loads
from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.fields.data import JSON_DUMPS
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from models.audit_event import AuditActorType
from models.fields import Instant
from models.identity import IdentityProvider, LinkOrigin
from models.identity_source import AccountAssociationMode
from models.ids import new
from models.login import Progress
from models.server import KeyPurpose
from models.session import DevicePlatform, LoginResolution
from models.user import Role, UserStatus


class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name="ApiKey",
            fields=[
                (
                    "id",
                    fields.UUIDField(
                        primary_key=True, default=new, unique=True, db_index=True
                    ),
                ),
                ("name", fields.CharField(max_length=64)),
                (
                    "role",
                    fields.CharEnumField(
                        description="MEMBER: MEMBER\nVIEWER: VIEWER\nADMIN: ADMIN\nOWNER: OWNER",
                        enum_type=Role,
                        max_length=8,
                    ),
                ),
                ("digest", fields.CharField(unique=True, max_length=64)),
                ("prefix", fields.CharField(max_length=16)),
                ("created_at", Instant(auto_now=False, auto_now_add=False)),
                ("expires_at", Instant(null=True, auto_now=False, auto_now_add=False)),
                (
                    "last_used_at",
                    Instant(null=True, auto_now=False, auto_now_add=False),
                ),
                ("revoked_at", Instant(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "api_keys",
                "app": "models",
                "pk_attr": "id",
                "table_description": "A key for back ends and consoles, kept as its digest.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="App",
            fields=[
                (
                    "id",
                    fields.UUIDField(
                        primary_key=True, default=new, unique=True, db_index=True
                    ),
                ),
                ("name", fields.CharField(max_length=64)),
                ("name_key", fields.CharField(max_length=192)),
                ("enabled", fields.BooleanField(default=True)),
                ("require_state", fields.BooleanField(default=True)),
                ("allow_sign_up", fields.BooleanField(default=True)),
                ("allow_password_sign_in", fields.BooleanField(default=False)),
                ("admin_access", fields.BooleanField(default=False)),
                ("access_token_lifetime", fields.IntField(default=900)),
                ("refresh_token_lifetime", fields.IntField(default=2592000)),
                ("session_lifetime", fields.IntField(default=15552000)),
                ("created_at", Instant(auto_now=False, auto_now_add=False)),
                ("updated_at", Instant(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "apps",
                "app": "models",
                "indexes": [Index(fields=["name_key", "id"])],
                "pk_attr": "id",
                "table_description": "A mobile app (or an admin frontend) that people log in to.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="AuditEvent",
            fields=[
                (
                    "id",
                    fields.UUIDField(
                        primary_key=True, default=new, unique=True, db_index=True
                    ),
                ),
                ("occurred_at", Instant(auto_now=False, auto_now_add=False)),
                ("action", fields.CharField(max_length=48)),
                (
                    "actor_type",
                    fields.CharEnumField(
                        description="USER: USER\nAPI_KEY: API_KEY\nANONYMOUS: ANONYMOUS\nSYSTEM: SYSTEM",
                        enum_type=AuditActorType,
                        max_length=9,
                    ),
                ),
                ("actor_id", fields.CharField(null=True, max_length=30)),
                ("actor_name", fields.CharField(null=True, max_length=64)),
                ("subject_id", fields.CharField(null=True, max_length=30)),
                ("app_id", fields.UUIDField(null=True)),
                ("identity_source_id", fields.UUIDField(null=True)),
                ("failure", fields.CharField(null=True, max_length=32)),
                ("wecom_error_code", fields.IntField(null=True)),
                ("rule", fields.CharField(null=True, max_length=64)),
                ("changed_fields", fields.CharField(default="", max_length=512)),
                ("corp_id", fields.CharField(null=True, max_length=64)),
                ("wecom_user_id", fields.CharField(null=True, max_length=64)),
                ("count", fields.IntField(default=1)),
                ("ip_address", fields.CharField(null=True, max_length=45)),
                ("request_id", fields.CharField(max_length=32)),
            ],
            options={
                "table": "audit_events",
                "app": "models",
                "indexes": [
                    Index(fields=["action", "id"]),
                    Index(fields=["actor_id", "id"]),
                    Index(fields=["subject_id", "id"]),
                    Index(fields=["app_id", "id"]),
                    Index(fields=["identity_source_id", "id"]),
                    Index(fields=["failure", "id"]),
                    Index(fields=["request_id", "id"]),
                    Index(fields=["occurred_at"]),
                ],
                "pk_attr": "id",
                "table_description": "Something that happened, who did it and which rule decided.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="BindingTicket",
            fields=[
                (
                    "digest",
                    fields.CharField(
                        primary_key=True, unique=True, db_index=True, max_length=64
                    ),
                ),
                ("app_id", fields.UUIDField()),
                ("identity_source_id", fields.UUIDField()),
                ("issuer", fields.CharField(max_length=64)),
                ("subject", fields.CharField(max_length=192)),
                ("profile", fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
                ("failures", fields.IntField(default=0)),
                ("used_at", Instant(null=True, auto_now=False, auto_now_add=False)),
                ("created_at", Instant(auto_now=False, auto_now_add=False)),
                ("expires_at", Instant(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "binding_tickets",
                "app": "models",
                "indexes": [Index(fields=["expires_at"])],
                "pk_attr": "digest",
                "table_description": "Leave to bind one outside identity, through one app and source.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="FoldedRefusal",
            fields=[
                (
                    "digest",
                    fields.CharField(
                        primary_key=True, unique=True, db_index=True, max_length=64
                    ),
                ),
                ("event_id", fields.UUIDField()),
                ("started_at", Instant(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "folded_refusals",
                "app": "models",
                "indexes": [Index(fields=["started_at"])],
                "pk_attr": "digest",
                "table_description": "Which event counts the equal refusals of the last minute.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="IdentitySource",
            fields=[
                (
                    "id",
                    fields.UUIDField(
                        primary_key=True, default=new, unique=True, db_index=True
                    ),
                ),
                ("identifier", fields.CharField(unique=True, max_length=31)),
                ("display_name", fields.CharField(max_length=64)),
                ("display_name_key", fields.CharField(max_length=192)),
                ("enabled", fields.BooleanField(default=True)),
                ("login_only", fields.BooleanField(default=False)),
                (
                    "association_mode",
                    fields.CharEnumField(
                        default=AccountAssociationMode.NONE,
                        description="NONE: NONE\nFIELD_MATCHING: FIELD_MATCHING\nASK_TO_BIND: ASK_TO_BIND",
                        enum_type=AccountAssociationMode,
                        max_length=16,
                    ),
                ),
                ("match_fields", fields.CharField(default="", max_length=64)),
                ("binding_methods", fields.CharField(default="", max_length=64)),
                ("match_across_corps", fields.BooleanField(default=False)),
                ("corp_id", fields.CharField(max_length=64)),
                ("agent_id", fields.CharField(max_length=64)),
                ("schema", fields.CharField(max_length=128)),
                ("secret_sealed", fields.BinaryField()),
                ("secret_key_id", fields.CharField(max_length=16)),
                ("secret_hint", fields.CharField(max_length=4)),
                ("secret_updated_at", Instant(auto_now=False, auto_now_add=False)),
                ("settings_version", fields.IntField(default=1)),
                ("problem_code", fields.IntField(null=True)),
                ("problem_address", fields.CharField(null=True, max_length=45)),
                (
                    "problem_since",
                    Instant(null=True, auto_now=False, auto_now_add=False),
                ),
                (
                    "problem_until",
                    Instant(null=True, auto_now=False, auto_now_add=False),
                ),
                ("created_at", Instant(auto_now=False, auto_now_add=False)),
                ("updated_at", Instant(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "identity_sources",
                "app": "models",
                "indexes": [
                    Index(fields=["display_name_key", "id"]),
                    Index(fields=["corp_id"]),
                ],
                "pk_attr": "id",
                "table_description": "A configured way to log in: one WeCom app of one corp.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Association",
            fields=[
                (
                    "id",
                    fields.UUIDField(
                        primary_key=True, default=new, unique=True, db_index=True
                    ),
                ),
                (
                    "app",
                    fields.ForeignKeyField(
                        "models.App",
                        source_field="app_id",
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                (
                    "identity_source",
                    fields.ForeignKeyField(
                        "models.IdentitySource",
                        source_field="identity_source_id",
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("created_at", Instant(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "associations",
                "app": "models",
                "unique_together": (("app_id", "identity_source_id"),),
                "indexes": [Index(fields=["identity_source_id", "app_id"])],
                "pk_attr": "id",
                "table_description": "An app that a source serves. A source without one serves nobody.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Lease",
            fields=[
                (
                    "name",
                    fields.CharField(
                        primary_key=True, unique=True, db_index=True, max_length=32
                    ),
                ),
                ("holder", fields.UUIDField()),
                ("expires_at", Instant(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "leases",
                "app": "models",
                "pk_attr": "name",
                "table_description": "Work that one process does at a time.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="PasswordAttempt",
            fields=[
                (
                    "id",
                    fields.UUIDField(
                        primary_key=True, default=new, unique=True, db_index=True
                    ),
                ),
                ("account", fields.CharField(max_length=64)),
                ("address", fields.CharField(max_length=45)),
                ("created_at", Instant(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "password_attempts",
                "app": "models",
                "indexes": [
                    Index(fields=["account", "created_at"]),
                    Index(fields=["created_at"]),
                ],
                "pk_attr": "id",
                "table_description": "A wrong password, or one that is being looked at.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="RateCounter",
            fields=[
                (
                    "key",
                    fields.CharField(
                        primary_key=True, unique=True, db_index=True, max_length=64
                    ),
                ),
                ("count", fields.IntField()),
                ("expires_at", Instant(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "rate_counters",
                "app": "models",
                "indexes": [Index(fields=["expires_at"])],
                "pk_attr": "key",
                "table_description": "How many anonymous mutations one address or source made in one window.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="ServerKey",
            fields=[
                (
                    "id",
                    fields.UUIDField(
                        primary_key=True, default=new, unique=True, db_index=True
                    ),
                ),
                (
                    "purpose",
                    fields.CharEnumField(
                        description="SIGNING: SIGNING\nDERIVING: DERIVING",
                        enum_type=KeyPurpose,
                        max_length=8,
                    ),
                ),
                ("number", fields.IntField()),
                ("public_jwk", fields.TextField(null=True, unique=False)),
                ("sealed", fields.BinaryField()),
                ("sealed_key_id", fields.CharField(max_length=16)),
                ("created_at", Instant(auto_now=False, auto_now_add=False)),
                ("active_from", Instant(auto_now=False, auto_now_add=False)),
                (
                    "verifies_until",
                    Instant(null=True, auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "server_keys",
                "app": "models",
                "unique_together": (("purpose", "number"),),
                "pk_attr": "id",
                "table_description": "A key of the server's own, sealed under one of HEFU_SECRET_KEYS.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="SpentCode",
            fields=[
                (
                    "digest",
                    fields.CharField(
                        primary_key=True, unique=True, db_index=True, max_length=64
                    ),
                ),
                ("request_digest", fields.CharField(max_length=64)),
                (
                    "progress",
                    fields.CharEnumField(
                        description="PENDING: PENDING\nSUCCEEDED: SUCCEEDED\nSPENT: SPENT",
                        enum_type=Progress,
                        max_length=9,
                    ),
                ),
                ("session_id", fields.UUIDField(null=True)),
                ("key_id", fields.UUIDField(null=True)),
                ("finished_at", Instant(null=True, auto_now=False, auto_now_add=False)),
                ("created_at", Instant(auto_now=False, auto_now_add=False)),
                ("expires_at", Instant(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "spent_codes",
                "app": "models",
                "indexes": [Index(fields=["expires_at"])],
                "pk_attr": "digest",
                "table_description": "A code of WeCom's that was presented to a source, by its digest.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="SpentState",
            fields=[
                (
                    "digest",
                    fields.CharField(
                        primary_key=True, unique=True, db_index=True, max_length=64
                    ),
                ),
                ("expires_at", Instant(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "spent_states",
                "app": "models",
                "indexes": [Index(fields=["expires_at"])],
                "pk_attr": "digest",
                "table_description": "A state of ours that was used, by its digest.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="User",
            fields=[
                (
                    "id",
                    fields.UUIDField(
                        primary_key=True, default=new, unique=True, db_index=True
                    ),
                ),
                ("username", fields.CharField(null=True, max_length=64)),
                (
                    "username_key",
                    fields.CharField(null=True, unique=True, max_length=192),
                ),
                ("display_name", fields.CharField(null=True, max_length=64)),
                ("display_name_key", fields.CharField(null=True, max_length=192)),
                ("email", fields.CharField(null=True, max_length=254)),
                ("email_key", fields.CharField(null=True, max_length=762)),
                (
                    "verified_email",
                    fields.CharField(null=True, unique=True, max_length=762),
                ),
                ("phone", fields.CharField(null=True, max_length=16)),
                (
                    "verified_phone",
                    fields.CharField(null=True, unique=True, max_length=16),
                ),
                ("external_id", fields.CharField(null=True, max_length=128)),
                (
                    "external_id_key",
                    fields.CharField(null=True, unique=True, max_length=384),
                ),
                ("avatar_url", fields.CharField(null=True, max_length=2048)),
                (
                    "role",
                    fields.CharEnumField(
                        default=Role.MEMBER,
                        description="MEMBER: MEMBER\nVIEWER: VIEWER\nADMIN: ADMIN\nOWNER: OWNER",
                        enum_type=Role,
                        max_length=8,
                    ),
                ),
                (
                    "status",
                    fields.CharEnumField(
                        default=UserStatus.ACTIVE,
                        description="ACTIVE: ACTIVE\nDISABLED: DISABLED",
                        enum_type=UserStatus,
                        max_length=8,
                    ),
                ),
                ("password_hash", fields.CharField(null=True, max_length=255)),
                ("created_at", Instant(auto_now=False, auto_now_add=False)),
                ("updated_at", Instant(auto_now=False, auto_now_add=False)),
                (
                    "last_login_at",
                    Instant(null=True, auto_now=False, auto_now_add=False),
                ),
                ("last_login_hour", Instant(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "users",
                "app": "models",
                "indexes": [
                    Index(fields=["display_name_key", "id"]),
                    Index(fields=["email_key", "id"]),
                    Index(fields=["phone", "id"]),
                    Index(fields=["last_login_hour", "id"]),
                    Index(fields=["role", "id"]),
                ],
                "pk_attr": "id",
                "table_description": "An account.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Identity",
            fields=[
                (
                    "id",
                    fields.UUIDField(
                        primary_key=True, default=new, unique=True, db_index=True
                    ),
                ),
                (
                    "user",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="user_id",
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                (
                    "provider",
                    fields.CharEnumField(
                        default=IdentityProvider.WECOM,
                        description="WECOM: WECOM",
                        enum_type=IdentityProvider,
                        max_length=16,
                    ),
                ),
                ("issuer", fields.CharField(max_length=64)),
                ("subject", fields.CharField(max_length=192)),
                ("identity_source_id", fields.UUIDField(null=True)),
                ("profile", fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
                ("linked_at", Instant(auto_now=False, auto_now_add=False)),
                (
                    "linked_by",
                    fields.CharEnumField(
                        description="CREATED: CREATED\nFIELD_MATCHING: FIELD_MATCHING\nASK_TO_BIND: ASK_TO_BIND\nLINKED_BY_USER: LINKED_BY_USER\nLINKED_BY_ADMIN: LINKED_BY_ADMIN",
                        enum_type=LinkOrigin,
                        max_length=16,
                    ),
                ),
                (
                    "last_login_at",
                    Instant(null=True, auto_now=False, auto_now_add=False),
                ),
                ("checked_at", Instant(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "identities",
                "app": "models",
                "unique_together": (
                    ("provider", "issuer", "subject"),
                    ("user_id", "provider", "issuer"),
                ),
                "indexes": [Index(fields=["identity_source_id", "user_id"])],
                "pk_attr": "id",
                "table_description": "One outside identity of an account.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Session",
            fields=[
                (
                    "id",
                    fields.UUIDField(
                        primary_key=True, default=new, unique=True, db_index=True
                    ),
                ),
                (
                    "user",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="user_id",
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("app_id", fields.UUIDField()),
                ("identity_id", fields.UUIDField(null=True)),
                ("identity_source_id", fields.UUIDField(null=True)),
                (
                    "resolution",
                    fields.CharEnumField(
                        description="LINKED: LINKED\nMATCHED: MATCHED\nBOUND: BOUND\nCREATED: CREATED\nPASSWORD: PASSWORD",
                        enum_type=LoginResolution,
                        max_length=8,
                    ),
                ),
                ("device_name", fields.CharField(null=True, max_length=128)),
                (
                    "platform",
                    fields.CharEnumField(
                        null=True,
                        description="ANDROID: ANDROID\nIOS: IOS\nHARMONYOS: HARMONYOS\nOTHER: OTHER",
                        enum_type=DevicePlatform,
                        max_length=16,
                    ),
                ),
                ("os_version", fields.CharField(null=True, max_length=64)),
                ("app_version", fields.CharField(null=True, max_length=64)),
                ("installation_id", fields.CharField(null=True, max_length=128)),
                ("ip_address", fields.CharField(null=True, max_length=45)),
                ("user_agent", fields.CharField(null=True, max_length=512)),
                ("created_at", Instant(auto_now=False, auto_now_add=False)),
                ("last_seen_at", Instant(auto_now=False, auto_now_add=False)),
                ("expires_at", Instant(auto_now=False, auto_now_add=False)),
                ("ends_at", Instant(auto_now=False, auto_now_add=False)),
                ("revoked_at", Instant(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "sessions",
                "app": "models",
                "indexes": [
                    Index(fields=["user_id", "id"]),
                    Index(fields=["identity_id"]),
                    Index(fields=["identity_source_id"]),
                    Index(fields=["app_id"]),
                    Index(fields=["expires_at"]),
                ],
                "pk_attr": "id",
                "table_description": "One login on one device, and what keeps it alive.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="RefreshToken",
            fields=[
                (
                    "digest",
                    fields.CharField(
                        primary_key=True, unique=True, db_index=True, max_length=64
                    ),
                ),
                (
                    "session",
                    fields.ForeignKeyField(
                        "models.Session",
                        source_field="session_id",
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("key_id", fields.UUIDField()),
                ("created_at", Instant(auto_now=False, auto_now_add=False)),
                ("replaced_at", Instant(null=True, auto_now=False, auto_now_add=False)),
                ("successor", fields.CharField(null=True, max_length=64)),
            ],
            options={
                "table": "refresh_tokens",
                "app": "models",
                "indexes": [Index(fields=["session_id"])],
                "pk_attr": "digest",
                "table_description": "One link of a session's chain: the digest of an opaque token.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="WecomToken",
            fields=[
                (
                    "key",
                    fields.CharField(
                        primary_key=True, unique=True, db_index=True, max_length=128
                    ),
                ),
                ("sealed", fields.BinaryField()),
                ("sealed_key_id", fields.CharField(max_length=16)),
                ("digest", fields.CharField(max_length=64)),
                ("expires_at", Instant(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "wecom_tokens",
                "app": "models",
                "pk_attr": "key",
                "table_description": "An access token of WeCom's, shared by processes.",
            },
            bases=["Model"],
        ),
    ]
