"""Logging in, binding and linking: what is asked, and every way it can end."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

import strawberry

from models import BindingMethod, LoginResolution
from schema.identity import Identity, WecomProfile
from schema.inputs import Filled
from schema.session import DeviceInput, Session, Tokens
from schema.user import User
from services.callers import Origin
from services.login import Begun
from services.refusals import LoginFailureCode, LoginRetry, Refusal


@strawberry.type(description="A login that failed, and what to do about it.")
class LoginFailure:
    code: LoginFailureCode = strawberry.field(
        description="Why, for programs. Codes may be added."
    )
    message: str = strawberry.field(
        description="For the person, in the language of the request's Accept-Language"
        " (zh-CN or en)."
    )
    retry: LoginRetry = strawberry.field(description="What may work.")
    retry_after: int | None = strawberry.field(
        description="Seconds until it may work, where known."
    )
    request_id: str = strawberry.field(
        description="Names the audit event; what a help desk asks for."
    )

    @classmethod
    def of(cls, refusal: Refusal, origin: Origin) -> Self:
        return cls(
            code=refusal.code,
            message=refusal.text(origin.language),
            retry=refusal.retry,
            retry_after=refusal.retry_after,
            request_id=refusal.request_id or origin.request_id,
        )


@strawberry.type(description="A login that succeeded.")
class LoginSuccess:
    session: Session = strawberry.field(description="The session that was opened.")
    tokens: Tokens = strawberry.field(description="The session's first tokens.")
    user: User = strawberry.field(description="The person who logged in.")
    resolution: LoginResolution = strawberry.field(
        description="How the login found the account."
    )


@strawberry.type(
    description="A first login through a source that asks to bind: the person must"
    " choose between proving an existing account (`bindExistingAccount`) and a new one"
    " (`bindNewAccount`)."
)
class BindingRequired:
    ticket: str = strawberry.field(
        description="For either mutation: single-use, and good for this app and"
        " identity only. After five wrong passwords it is gone."
    )
    expires_at: datetime = strawberry.field(
        description="When the ticket expires: ten minutes after the login."
    )
    methods: list[BindingMethod] = strawberry.field(
        description="How the person may prove an existing account to be theirs."
    )
    can_create_account: bool = strawberry.field(
        description="Whether `bindNewAccount` is open: the source is not login-only and"
        " the app allows sign-up."
    )
    profile: WecomProfile = strawberry.field(
        description="Whom WeCom says it is, to greet the person by name."
    )


LoginResult = Annotated[
    LoginSuccess | BindingRequired | LoginFailure,
    strawberry.union(
        "LoginResult",
        description="How a login ends. A type that you do not know is a failure: ask"
        " the person to update the app.",
    ),
]


@strawberry.type(description="What a mobile app hands to WeCom's SDK to begin a login.")
class WecomMobileLoginRequest:
    identity_source: str = strawberry.field(description="The source's identifier.")
    display_name: str = strawberry.field(description="What stands on the button.")
    schema: str = strawberry.field(
        description="The URL scheme that WeCom's SDK is registered with, e.g."
        " `wwauth1e933be11645237c000012`."
    )
    corp_id: str = strawberry.field(description="The CorpID that the SDK wants.")
    agent_id: str = strawberry.field(description="The AgentId that the SDK wants.")
    state: str = strawberry.field(
        description="The SDK's `state`: at most 128 bytes, good for ten minutes and one"
        " login."
    )
    expires_at: datetime = strawberry.field(description="When the state expires.")

    @classmethod
    def of(cls, begun: Begun) -> Self:
        source = begun.source
        return cls(
            identity_source=source.identifier,
            display_name=source.display_name,
            schema=source.schema,
            corp_id=source.corp_id,
            agent_id=source.agent_id,
            state=begun.state,
            expires_at=begun.expires_at,
        )


StartWecomMobileLoginResult = Annotated[
    WecomMobileLoginRequest | LoginFailure,
    strawberry.union(
        "StartWecomMobileLoginResult", description="A login begun, or why not."
    ),
]


@strawberry.type(description="A session that goes on.")
class RefreshedSession:
    session: Session = strawberry.field(description="The session.")
    tokens: Tokens = strawberry.field(
        description="Its new tokens: the refresh token that was sent is spent."
    )


RefreshSessionResult = Annotated[
    RefreshedSession | LoginFailure,
    strawberry.union(
        "RefreshSessionResult",
        description="New tokens, or why not. A failure with `retry` START_AGAIN means"
        " that the session has ended; any other leaves the refresh token unspent.",
    ),
]


@strawberry.type(description="An identity linked to one's own account.")
class LinkSuccess:
    identity: Identity = strawberry.field(description="The identity.")
    user: User = strawberry.field(description="One's own account.")


LinkIdentityResult = Annotated[
    LinkSuccess | LoginFailure,
    strawberry.union(
        "LinkIdentityResult", description="An identity linked, or why not."
    ),
]


@strawberry.input(description="A login to begin.")
class StartWecomMobileLoginInput(Filled):
    app_id: strawberry.ID = strawberry.field(
        description="The id of the app that asks (`app_…`)."
    )
    identity_source: str = strawberry.field(
        description="The source's identifier, from `loginOptions`."
    )
    code_challenge: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="RFC 7636, S256: BASE64URL(SHA256(codeVerifier)), 43 characters."
        " The verifier stays on the device until the login. Required where the app"
        " requires a state.",
    )


@strawberry.input(description="What WeCom's SDK gave the app.")
class WecomMobileLoginInput(Filled):
    app_id: strawberry.ID = strawberry.field(
        description="The id of the app that asks (`app_…`)."
    )
    identity_source: str = strawberry.field(description="The source's identifier.")
    code: str = strawberry.field(
        description="The SDK's `code`: good for five minutes and one use."
    )
    state: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The SDK's `state`, as `startWecomMobileLogin` issued it. Required"
        " unless the app says otherwise.",
    )
    code_verifier: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="RFC 7636: what the `codeChallenge` was made from, 43 to 128"
        " characters. Required where a challenge was sent.",
    )
    device: DeviceInput | None = strawberry.field(
        default=strawberry.UNSET, description="What the app says of the device."
    )


@strawberry.input(description="A link to begin.")
class StartWecomMobileLinkInput:
    identity_source: str = strawberry.field(
        description="The identifier of a source of the session's app."
    )
    code_challenge: str = strawberry.field(
        description="RFC 7636, S256: BASE64URL(SHA256(codeVerifier)), 43 characters."
        " The verifier stays on the device until the link."
    )


@strawberry.input(description="What WeCom's SDK gave the app, to be linked.")
class LinkWecomMobileInput:
    identity_source: str = strawberry.field(description="The source's identifier.")
    code: str = strawberry.field(
        description="The SDK's `code`: good for five minutes and one use."
    )
    state: str = strawberry.field(
        description="The SDK's `state`, as `startWecomMobileLink` issued it to the same"
        " session."
    )
    code_verifier: str = strawberry.field(
        description="RFC 7636: what the `codeChallenge` was made from."
    )


@strawberry.input(description="Proof that an existing account is the person's.")
class BindExistingAccountInput(Filled):
    app_id: strawberry.ID = strawberry.field(
        description="The id of the app that asks (`app_…`)."
    )
    ticket: str = strawberry.field(description="From `BindingRequired`.")
    method: BindingMethod = strawberry.field(
        description="One of `BindingRequired.methods`."
    )
    account: str = strawberry.field(
        description="The username, the verified e-mail or the verified phone, as"
        " `method` says."
    )
    password: str = strawberry.field(description="The account's password.")
    device: DeviceInput | None = strawberry.field(
        default=strawberry.UNSET, description="What the app says of the device."
    )


@strawberry.input(description="The wish for a new account.")
class BindNewAccountInput(Filled):
    app_id: strawberry.ID = strawberry.field(
        description="The id of the app that asks (`app_…`)."
    )
    ticket: str = strawberry.field(description="From `BindingRequired`.")
    device: DeviceInput | None = strawberry.field(
        default=strawberry.UNSET, description="What the app says of the device."
    )


@strawberry.input(description="An account and its password.")
class SignInWithPasswordInput(Filled):
    app_id: strawberry.ID = strawberry.field(
        description="The id of the app that asks (`app_…`)."
    )
    account: str = strawberry.field(
        description="Username, verified e-mail or verified phone, e.g. `amy` or"
        " `+8613800000000`."
    )
    password: str = strawberry.field(description="The account's password.")
    device: DeviceInput | None = strawberry.field(
        default=strawberry.UNSET, description="What the app says of the device."
    )


@strawberry.input(description="A session to keep alive.")
class RefreshSessionInput:
    refresh_token: str = strawberry.field(
        description="The session's latest refresh token. Good for one use; where the"
        " answer got lost, send it once more."
    )
