"""Linking identities and unlinking them."""

from __future__ import annotations

from schema.context import Info
from schema.identity import (
    Identity,
    LinkIdentityInput,
    LinkIdentityPayload,
    UnlinkIdentityInput,
    UnlinkIdentityPayload,
    UnlinkMyIdentityInput,
)
from schema.login import (
    LinkIdentityResult,
    LinkSuccess,
    LinkWecomMobileInput,
    StartWecomMobileLinkInput,
    StartWecomMobileLoginResult,
    WecomMobileLoginRequest,
)
from schema.node import Viewer
from schema.user import User
from services.linking import LinkAttempt


async def start_wecom_mobile(
    info: Info, input: StartWecomMobileLinkInput
) -> StartWecomMobileLoginResult:
    begun = await info.context.services.linking.start(
        info.context.caller, input.identity_source, input.code_challenge
    )
    return WecomMobileLoginRequest.of(begun)


async def wecom_mobile(info: Info, input: LinkWecomMobileInput) -> LinkIdentityResult:
    caller = info.context.caller
    attempt = LinkAttempt(
        input.identity_source, input.code, input.state, input.code_verifier
    )
    identity, user = await info.context.services.linking.link(caller, attempt)
    viewer = Viewer.of(caller)
    return LinkSuccess(
        identity=Identity.of(identity, viewer), user=User.of(user, viewer)
    )


async def unlink_mine(
    info: Info, input: UnlinkMyIdentityInput
) -> UnlinkIdentityPayload:
    caller = info.context.caller
    user = await info.context.services.linking.unlink_mine(caller, input.id)
    return UnlinkIdentityPayload(user=User.of(user, Viewer.of(caller)))


async def link(info: Info, input: LinkIdentityInput) -> LinkIdentityPayload:
    caller = info.context.caller
    identity = await info.context.services.linking.link_member(
        caller, input.user_id, input.identity_source_id, input.subject
    )
    return LinkIdentityPayload(identity=Identity.of(identity, Viewer.of(caller)))


async def unlink(info: Info, input: UnlinkIdentityInput) -> UnlinkIdentityPayload:
    caller = info.context.caller
    user = await info.context.services.linking.unlink_member(caller, input.id)
    return UnlinkIdentityPayload(user=User.of(user, Viewer.of(caller)))
