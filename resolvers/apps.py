from __future__ import annotations

import strawberry

from schema.app import (
    App,
    AppAssociationInput,
    AppAssociationPayload,
    AppPayload,
    CreateAppInput,
    DeleteAppInput,
    UpdateAppInput,
)
from schema.context import Info
from schema.identity_source import DeletePayload, WecomMobileIdentitySource
from schema.inputs import sent
from schema.node import Viewer
from services.apps import AppChanges, NewApp
from services.associations import Pair


async def create(info: Info, input: CreateAppInput) -> AppPayload:
    caller = info.context.caller
    app = await info.context.services.apps.create(caller, NewApp(**sent(input)))
    return AppPayload(app=App.of(app, Viewer.of(caller)))


async def update(info: Info, input: UpdateAppInput) -> AppPayload:
    caller = info.context.caller
    app = await info.context.services.apps.update(
        caller, input.id, AppChanges(**sent(input))
    )
    return AppPayload(app=App.of(app, Viewer.of(caller)))


async def delete(info: Info, input: DeleteAppInput) -> DeletePayload:
    deleted = await info.context.services.apps.delete(info.context.caller, input.id)
    return DeletePayload(deleted_id=strawberry.ID(deleted))


async def associate(info: Info, input: AppAssociationInput) -> AppAssociationPayload:
    pair = await info.context.services.associations.associate(
        info.context.caller, input.app_id, input.identity_source_id
    )
    return _payload(info, pair)


async def dissociate(info: Info, input: AppAssociationInput) -> AppAssociationPayload:
    pair = await info.context.services.associations.dissociate(
        info.context.caller, input.app_id, input.identity_source_id
    )
    return _payload(info, pair)


def _payload(info: Info, pair: Pair) -> AppAssociationPayload:
    app, source = pair
    viewer = Viewer.of(info.context.caller)
    return AppAssociationPayload(
        app=App.of(app, viewer),
        identity_source=WecomMobileIdentitySource.of(source, viewer),
    )
