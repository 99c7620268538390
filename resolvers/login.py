"""Logging in with WeCom, binding, signing in, refreshing."""

from __future__ import annotations

from schema.context import Info
from schema.identity import WecomProfile
from schema.login import (
    BindExistingAccountInput,
    BindingRequired,
    BindNewAccountInput,
    LoginResult,
    LoginSuccess,
    RefreshedSession,
    RefreshSessionInput,
    RefreshSessionResult,
    SignInWithPasswordInput,
    StartWecomMobileLoginInput,
    StartWecomMobileLoginResult,
    WecomMobileLoginInput,
    WecomMobileLoginRequest,
)
from schema.node import Viewer
from schema.session import DeviceInput, Session, Tokens
from schema.user import User
from services.bindings import Proof
from services.login import Asked, Attempt
from services.password_sign_in import Credentials
from services.sessions import Device, LoggedIn


async def start_wecom_mobile(
    info: Info, input: StartWecomMobileLoginInput
) -> StartWecomMobileLoginResult:
    services = info.context.services
    work = services.login.start(
        info.context.caller, input.app_id, input.identity_source, input.code_challenge
    )
    return WecomMobileLoginRequest.of(await services.outcomes.start(work))


async def wecom_mobile(info: Info, input: WecomMobileLoginInput) -> LoginResult:
    attempt = Attempt(
        app_id=input.app_id,
        identity_source=input.identity_source,
        code=input.code,
        state=input.state,
        code_verifier=input.code_verifier,
        device=device(input.device),
    )
    services = info.context.services
    work = services.login.log_in(info.context.caller, attempt)
    result = await services.outcomes.login(work)
    return required(result) if isinstance(result, Asked) else success(result)


async def bind_existing_account(
    info: Info, input: BindExistingAccountInput
) -> LoginResult:
    services = info.context.services
    work = services.bindings.to_existing(
        info.context.caller,
        input.app_id,
        input.ticket,
        Proof(input.method, input.account, input.password),
        device(input.device),
    )
    result = await services.outcomes.login(work)
    return success(result)


async def bind_new_account(info: Info, input: BindNewAccountInput) -> LoginResult:
    services = info.context.services
    work = services.bindings.to_new(
        info.context.caller, input.app_id, input.ticket, device(input.device)
    )
    result = await services.outcomes.login(work)
    return success(result)


async def sign_in_with_password(
    info: Info, input: SignInWithPasswordInput
) -> LoginResult:
    services = info.context.services
    work = services.password_sign_in.sign_in(
        info.context.caller,
        input.app_id,
        Credentials(input.account, input.password),
        device(input.device),
    )
    result = await services.outcomes.login(work)
    return success(result)


async def refresh_session(
    info: Info, input: RefreshSessionInput
) -> RefreshSessionResult:
    services = info.context.services
    work = services.refreshing.refresh(info.context.caller, input.refresh_token)
    result = await services.outcomes.refresh(work)
    viewer = Viewer.of_login(result.session)
    return RefreshedSession(
        session=Session.of(result.session, viewer), tokens=Tokens.of(result.tokens)
    )


def success(result: LoggedIn) -> LoginSuccess:
    """What it holds is read as the person who logged in, whatever was sent along."""
    viewer = Viewer.of_login(result.session)
    return LoginSuccess(
        session=Session.of(result.session, viewer),
        tokens=Tokens.of(result.tokens),
        user=User.of(result.user, viewer),
        resolution=result.session.resolution,
    )


def required(asked: Asked) -> BindingRequired:
    return BindingRequired(
        ticket=asked.ticket,
        expires_at=asked.expires_at,
        methods=list(asked.methods),
        can_create_account=asked.can_create_account,
        profile=WecomProfile.of(asked.profile),
    )


def device(input: DeviceInput | None) -> Device | None:
    if input is None:
        return None
    return Device(
        name=input.name,
        platform=input.platform,
        os_version=input.os_version,
        app_version=input.app_version,
        installation_id=input.installation_id,
    )
