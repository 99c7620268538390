"""The lists of the admin API."""

from __future__ import annotations

from typing import Annotated

import strawberry

from schema.api_key import ApiKey
from schema.app import App, AppConnection, AppFilter, AppOrder
from schema.audit_event import AuditEvent, AuditEventConnection, AuditEventFilter
from schema.context import Info
from schema.identity_source import (
    IdentitySourceConnection,
    IdentitySourceFilter,
    IdentitySourceOrder,
    WecomMobileIdentitySource,
)
from schema.node import Viewer
from schema.pages import After, Before, First, Last, asked
from schema.user import User, UserConnection, UserFilter, UserOrder
from services import lists
from services.lists import AppOrderField, IdentitySourceOrderField, UserOrderField

FILTER = strawberry.argument(
    description="Which of them. Omitted or null: all, and so is each of its fields."
)
ORDER = strawberry.argument(
    description="How they are ordered. Omitted or null: oldest first by creation."
)


async def identity_sources(
    info: Info,
    *,
    first: First = strawberry.UNSET,
    after: After = strawberry.UNSET,
    last: Last = strawberry.UNSET,
    before: Before = strawberry.UNSET,
    filter: Annotated[IdentitySourceFilter | None, FILTER] = strawberry.UNSET,
    order_by: Annotated[IdentitySourceOrder | None, ORDER] = strawberry.UNSET,
) -> IdentitySourceConnection:
    order = order_by or IdentitySourceOrder(field=IdentitySourceOrderField.CREATED_AT)
    listed = await info.context.services.lists.identity_sources(
        info.context.caller,
        asked(first, after, last, before),
        lists.SourceFilter(**vars(filter or IdentitySourceFilter())),
        order.field,
        order.direction,
        wanted=info.wanted,
    )
    viewer = Viewer.of(info.context.caller)
    return IdentitySourceConnection.of(
        listed.page, WecomMobileIdentitySource.of, viewer, count=listed.count
    )


async def apps(
    info: Info,
    *,
    first: First = strawberry.UNSET,
    after: After = strawberry.UNSET,
    last: Last = strawberry.UNSET,
    before: Before = strawberry.UNSET,
    filter: Annotated[AppFilter | None, FILTER] = strawberry.UNSET,
    order_by: Annotated[AppOrder | None, ORDER] = strawberry.UNSET,
) -> AppConnection:
    order = order_by or AppOrder(field=AppOrderField.CREATED_AT)
    listed = await info.context.services.lists.apps(
        info.context.caller,
        asked(first, after, last, before),
        lists.AppFilter(**vars(filter or AppFilter())),
        order.field,
        order.direction,
        wanted=info.wanted,
    )
    viewer = Viewer.of(info.context.caller)
    return AppConnection.of(listed.page, App.of, viewer, count=listed.count)


async def users(
    info: Info,
    *,
    first: First = strawberry.UNSET,
    after: After = strawberry.UNSET,
    last: Last = strawberry.UNSET,
    before: Before = strawberry.UNSET,
    filter: Annotated[UserFilter | None, FILTER] = strawberry.UNSET,
    order_by: Annotated[UserOrder | None, ORDER] = strawberry.UNSET,
) -> UserConnection:
    order = order_by or UserOrder(field=UserOrderField.CREATED_AT)
    listed = await info.context.services.lists.users(
        info.context.caller,
        asked(first, after, last, before),
        lists.UserFilter(**vars(filter or UserFilter())),
        order.field,
        order.direction,
        wanted=info.wanted,
    )
    viewer = Viewer.of(info.context.caller)
    return UserConnection.of(listed.page, User.of, viewer, count=listed.count)


async def audit_events(
    info: Info,
    *,
    first: First = strawberry.UNSET,
    after: After = strawberry.UNSET,
    last: Last = strawberry.UNSET,
    before: Before = strawberry.UNSET,
    filter: Annotated[AuditEventFilter | None, FILTER] = strawberry.UNSET,
) -> AuditEventConnection:
    listed = await info.context.services.lists.audit_events(
        info.context.caller,
        asked(first, after, last, before),
        lists.EventFilter(**vars(filter or AuditEventFilter())),
    )
    return AuditEventConnection.of(listed.page, AuditEvent.of)


async def api_keys(info: Info) -> list[ApiKey]:
    found = await info.context.services.api_keys.all(info.context.caller)
    return [ApiKey.of(key) for key in found]
