from __future__ import annotations

import strawberry

import models
from schema.context import Info
from schema.identity_source import DeletePayload
from schema.inputs import sent
from schema.node import Viewer
from schema.user import (
    CreateUserInput,
    DeleteUserInput,
    SetUserPasswordInput,
    UpdateUserInput,
    User,
    UserPayload,
)
from services.account_fields import AccountChanges, NewAccount


async def create(info: Info, input: CreateUserInput) -> UserPayload:
    user = await info.context.services.accounts.create(
        info.context.caller, NewAccount(**sent(input))
    )
    return _payload(info, user)


async def update(info: Info, input: UpdateUserInput) -> UserPayload:
    user = await info.context.services.accounts.update(
        info.context.caller, input.id, AccountChanges(**sent(input))
    )
    return _payload(info, user)


async def set_password(info: Info, input: SetUserPasswordInput) -> UserPayload:
    user = await info.context.services.accounts.set_password(
        info.context.caller, input.id, **sent(input)
    )
    return _payload(info, user)


async def delete(info: Info, input: DeleteUserInput) -> DeletePayload:
    deleted = await info.context.services.accounts.delete(info.context.caller, input.id)
    return DeletePayload(deleted_id=strawberry.ID(deleted))


def _payload(info: Info, user: models.User) -> UserPayload:
    return UserPayload(user=User.of(user, Viewer.of(info.context.caller)))
