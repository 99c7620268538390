from __future__ import annotations

from schema.api_key import (
    ApiKey,
    ApiKeyPayload,
    CreateApiKeyInput,
    CreateApiKeyPayload,
    RevokeApiKeyInput,
)
from schema.context import Info


async def create(info: Info, input: CreateApiKeyInput) -> CreateApiKeyPayload:
    made = await info.context.services.api_keys.create(
        info.context.caller,
        name=input.name,
        role=input.role,
        expires_at=input.expires_at,
    )
    return CreateApiKeyPayload(api_key=ApiKey.of(made.api_key), secret=made.secret)


async def revoke(info: Info, input: RevokeApiKeyInput) -> ApiKeyPayload:
    key = await info.context.services.api_keys.revoke(info.context.caller, input.id)
    return ApiKeyPayload(api_key=ApiKey.of(key))
