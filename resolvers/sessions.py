"""Ending sessions."""

from __future__ import annotations

import strawberry

from schema.context import Info
from schema.node import Viewer
from schema.session import (
    RevokeMySessionInput,
    RevokeSessionInput,
    RevokeSessionPayload,
    RevokeSessionsInput,
    RevokeSessionsPayload,
    Session,
    SignOutInput,
    SignOutPayload,
)
from services.endings import Whose


async def sign_out(
    info: Info, input: SignOutInput | None = strawberry.UNSET
) -> SignOutPayload:
    token = input.refresh_token if input else None
    session = await info.context.services.endings.sign_out(info.context.caller, token)
    if session is None:
        return SignOutPayload()
    return SignOutPayload(session=Session.of(session, Viewer.of_login(session)))


async def revoke_mine(info: Info, input: RevokeMySessionInput) -> RevokeSessionPayload:
    caller = info.context.caller
    session = await info.context.services.endings.revoke_mine(caller, input.id)
    return RevokeSessionPayload(session=Session.of(session, Viewer.of(caller)))


async def revoke(info: Info, input: RevokeSessionInput) -> RevokeSessionPayload:
    caller = info.context.caller
    session = await info.context.services.endings.revoke(caller, input.id)
    return RevokeSessionPayload(session=Session.of(session, Viewer.of(caller)))


async def revoke_all(info: Info, input: RevokeSessionsInput) -> RevokeSessionsPayload:
    whose = Whose(
        user_id=input.user_id,
        identity_id=input.identity_id,
        identity_source_id=input.identity_source_id,
        app_id=input.app_id,
    )
    endings = info.context.services.endings
    count = await endings.revoke_all(info.context.caller, whose)
    return RevokeSessionsPayload(revoked_count=count)
