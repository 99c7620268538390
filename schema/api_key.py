from __future__ import annotations

from datetime import datetime
from typing import Self

import strawberry

import models
from models import Role, ids
from schema.errors import InputError, no_errors
from schema.inputs import Filled
from schema.node import Node


@strawberry.type(description="A key for back ends and consoles.")
class ApiKey(Node):
    id: strawberry.ID = strawberry.field(
        description="The key's id, e.g. `key_01kb3v5x9gf2tvrzc1q0k7m4dh`. It is no"
        " secret."
    )
    name: str = strawberry.field(description="What it is for: 1 to 64 characters.")
    role: Role = strawberry.field(description="What it may do: VIEWER, ADMIN or OWNER.")
    prefix: str = strawberry.field(
        description="The first characters, to recognise it by, e.g. `hefu_3Xk9`."
    )
    created_at: datetime = strawberry.field(description="When it was created.")
    expires_at: datetime | None = strawberry.field(
        description="From when on it is refused; null: never."
    )
    last_used_at: datetime | None = strawberry.field(
        description="When it was last used, to the minute or so; null: never."
    )
    revoked_at: datetime | None = strawberry.field(
        description="When it was revoked; null if it was not."
    )

    @classmethod
    def of(cls, key: models.ApiKey) -> Self:
        return cls(
            id=strawberry.ID(ids.show(ids.API_KEY, key.id)),
            name=key.name,
            role=key.role,
            prefix=key.prefix,
            created_at=key.created_at,
            expires_at=key.expires_at,
            last_used_at=key.last_used_at,
            revoked_at=key.revoked_at,
        )


@strawberry.input(description="A new API key.")
class CreateApiKeyInput(Filled):
    name: str = strawberry.field(
        description="What it is for: 1 to 64 characters after trimming, e.g. `billing"
        " back end`."
    )
    role: Role = strawberry.field(
        description="What it may do: VIEWER, ADMIN or OWNER. The least that serves."
    )
    expires_at: datetime | None = strawberry.field(
        default=strawberry.UNSET,
        description="From when on it is refused: in the future. Omitted or null:"
        " never.",
    )


@strawberry.type(description="The key that was created, or why not.")
class CreateApiKeyPayload:
    api_key: ApiKey | None = strawberry.field(
        default=None, description="The key; null where there are errors."
    )
    secret: str | None = strawberry.field(
        default=None,
        description="What goes behind `Authorization: Bearer`. Shown once: only its"
        " digest is stored.",
    )
    errors: list[InputError] = strawberry.field(
        default_factory=no_errors, description="Empty where it was created."
    )


@strawberry.input(description="The key to revoke.")
class RevokeApiKeyInput:
    id: strawberry.ID = strawberry.field(description="The key's id (`key_…`).")


@strawberry.type(description="The key as it now is, or why not.")
class ApiKeyPayload:
    api_key: ApiKey | None = strawberry.field(
        default=None, description="The key; null where there are errors."
    )
    errors: list[InputError] = strawberry.field(
        default_factory=no_errors, description="Empty where it was done."
    )
