from __future__ import annotations

from datetime import datetime
from typing import Self

import strawberry

import models
from models import AuditActorType, ids
from schema.context import Info
from schema.inputs import Filled
from schema.node import Node
from schema.pages import Uncounted
from services import events
from services.refusals import LoginFailureCode


def message(root: strawberry.Parent[AuditEvent], info: Info) -> str:
    return events.sentence(root.row, info.context.caller.origin.language)


@strawberry.type(
    description="Something that happened: who did it, to what, and which rule decided."
    " Never a secret's, token's or password's value."
)
class AuditEvent(Node):
    id: strawberry.ID = strawberry.field(
        description="The event's id, e.g. `evt_01kb3v5x9gf2tvrzc1q0k7m4dh`."
    )
    occurred_at: datetime = strawberry.field(description="When it happened.")
    action: str = strawberry.field(
        description="What happened, by a stable name: e.g. `login.succeeded`,"
        " `login.failed`, `identity.linked`, `identity_source.updated`,"
        " `session.revoked`."
    )
    actor_type: AuditActorType = strawberry.field(description="Who did it.")
    actor_id: strawberry.ID | None = strawberry.field(
        description="The account (`usr_…`) or API key (`key_…`) that did it; null for"
        " everybody else. It may be gone."
    )
    subject_id: strawberry.ID | None = strawberry.field(
        description="What it was done to, by its id. It may be gone."
    )
    app_id: strawberry.ID | None = strawberry.field(
        description="The app that was involved (`app_…`). It may be gone."
    )
    identity_source_id: strawberry.ID | None = strawberry.field(
        description="The source that was involved (`src_…`). It may be gone."
    )
    actor_name: str | None = strawberry.field(
        description="What the actor was called at the time."
    )
    failure: LoginFailureCode | None = strawberry.field(
        description="Why a login was refused; null where nothing was."
    )
    wecom_error_code: int | None = strawberry.field(
        description="The errcode that WeCom answered, where it was one."
    )
    rule: str | None = strawberry.field(
        description="The binding rule that decided, where one did, e.g."
        " `field_matching.one`."
    )
    changed_fields: list[str] = strawberry.field(
        description="The fields that were changed, by their names in the schema; never"
        " a value."
    )
    corp_id: str | None = strawberry.field(
        description="The CorpID of the member that was involved."
    )
    wecom_user_id: str | None = strawberry.field(
        description="The userid of the member that was involved."
    )
    count: int = strawberry.field(
        description="1, or how many equal refusals of one minute and address stand in"
        " this event."
    )
    message: str = strawberry.field(
        resolver=message,
        description="What happened, for people, in the language of the request's"
        " Accept-Language.",
    )
    ip_address: str | None = strawberry.field(
        description="The address that the request came from."
    )
    request_id: str = strawberry.field(
        description="The request: its `X-Request-Id`, and a LoginFailure's `requestId`."
    )
    row: strawberry.Private[models.AuditEvent]

    @classmethod
    def of(cls, event: models.AuditEvent) -> Self:
        app, source = event.app_id, event.identity_source_id
        return cls(
            id=strawberry.ID(ids.show(ids.AUDIT_EVENT, event.id)),
            occurred_at=event.occurred_at,
            action=event.action,
            actor_type=event.actor_type,
            actor_id=strawberry.ID(event.actor_id) if event.actor_id else None,
            subject_id=strawberry.ID(event.subject_id) if event.subject_id else None,
            app_id=strawberry.ID(ids.show(ids.APP, app)) if app else None,
            identity_source_id=(
                strawberry.ID(ids.show(ids.SOURCE, source)) if source else None
            ),
            actor_name=event.actor_name,
            failure=LoginFailureCode(event.failure) if event.failure else None,
            wecom_error_code=event.wecom_error_code,
            rule=event.rule,
            changed_fields=[name for name in event.changed_fields.split(",") if name],
            corp_id=event.corp_id,
            wecom_user_id=event.wecom_user_id,
            count=event.count,
            ip_address=event.ip_address,
            request_id=event.request_id,
            row=event,
        )


AuditEventConnection = Uncounted[AuditEvent]


@strawberry.input(description="Which events: those that fit all that is given.")
class AuditEventFilter(Filled):
    action: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="Exactly this action, e.g. `login.failed`.",
    )
    actor_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description="What this account (`usr_…`) or API key (`key_…`) did.",
    )
    subject_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description="What was done to this object, by its id of whatever type.",
    )
    identity_source_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description="What involved this source (`src_…`).",
    )
    app_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="What involved this app (`app_…`)."
    )
    failure: LoginFailureCode | None = strawberry.field(
        default=strawberry.UNSET, description="Logins refused for this reason."
    )
    request_id: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="What one request did: the `requestId` that a person reads out to a"
        " help desk.",
    )
    since: datetime | None = strawberry.field(
        default=strawberry.UNSET,
        description="What happened at this moment or later.",
    )
    until: datetime | None = strawberry.field(
        default=strawberry.UNSET, description="What happened before this moment."
    )
