from __future__ import annotations

from datetime import datetime
from typing import Self

import strawberry

import models
from models import DevicePlatform, LoginResolution, ids
from schema.context import Info
from schema.errors import InputError, no_errors
from schema.inputs import Filled
from schema.node import Node, Viewer
from schema.pages import Connection
from services.errors import Unavailable
from services.sessions import Tokens as IssuedTokens


async def user_of(root: strawberry.Parent[Session], info: Info) -> User:
    user = await info.context.loaders.user.load(root.row.user_id)
    if user is None:
        # Deleted since its row was read: asked again, nobody meets it.
        raise Unavailable
    return User.of(user, root.viewer)


async def app_of(root: strawberry.Parent[Session], info: Info) -> App | None:
    app = await info.context.loaders.app.load(root.row.app_id)
    return App.of(app, root.viewer) if app else None


async def identity_of(root: strawberry.Parent[Session], info: Info) -> Identity | None:
    id = root.row.identity_id
    identity = await info.context.loaders.identity.load(id) if id else None
    return Identity.of(identity, root.viewer) if identity else None


async def source_of(
    root: strawberry.Parent[Session], info: Info
) -> IdentitySource | None:
    id = root.row.identity_source_id
    source = await info.context.loaders.identity_source.load(id) if id else None
    return WecomMobileIdentitySource.of(source, root.viewer) if source else None


@strawberry.type(
    description="Where a session lives. Everything but the address and the user agent"
    " is what the app said of it: shown to the person, believed by nobody."
)
class Device:
    name: str | None = strawberry.field(
        description="What the person calls it, e.g. `Amy's phone`: up to 128"
        " characters."
    )
    platform: DevicePlatform | None = strawberry.field(description="What it runs.")
    os_version: str | None = strawberry.field(
        description="The operating system's version, e.g. `17.5.1`."
    )
    app_version: str | None = strawberry.field(
        description="The app's own version, e.g. `2.3.0`."
    )
    installation_id: str | None = strawberry.field(
        description="Chosen by the app at its first start: a later login of the same"
        " account from the same installation replaces the session."
    )
    ip_address: str | None = strawberry.field(
        description="The address that the login came from."
    )
    user_agent: str | None = strawberry.field(
        description="The User-Agent that the login came with."
    )

    @classmethod
    def of(cls, session: models.Session) -> Self | None:
        device = cls(
            name=session.device_name,
            platform=session.platform,
            os_version=session.os_version,
            app_version=session.app_version,
            installation_id=session.installation_id,
            ip_address=session.ip_address,
            user_agent=session.user_agent,
        )
        return device if any(vars(device).values()) else None


@strawberry.type(description="One login on one device, for as long as it is refreshed.")
class Session(Node):
    id: strawberry.ID = strawberry.field(
        description="The session's id, e.g. `ses_01kb3v5x9gf2tvrzc1q0k7m4dh`: the"
        " claim `sid` of its access tokens."
    )
    user: User = strawberry.field(
        resolver=user_of, description="The account that is logged in."
    )
    app: App | None = strawberry.field(
        resolver=app_of,
        description="The app it was opened for; null if that app was deleted.",
    )
    device: Device | None = strawberry.field(
        description="Where it lives; null where nothing is known."
    )
    identity: Identity | None = strawberry.field(
        resolver=identity_of,
        description="How it began; null for a password sign-in, or if the identity was"
        " unlinked.",
    )
    identity_source: IdentitySource | None = strawberry.field(
        resolver=source_of,
        description="The source it began through; null for a password sign-in, or if"
        " the source was deleted.",
    )
    resolution: LoginResolution = strawberry.field(
        description="How the login found the account."
    )
    created_at: datetime = strawberry.field(description="When the login was.")
    last_seen_at: datetime = strawberry.field(
        description="When its tokens were last used, to the minute."
    )
    expires_at: datetime = strawberry.field(
        description="When it ends unless it is refreshed before."
    )
    revoked_at: datetime | None = strawberry.field(
        description="When it was ended before its time; null if it was not."
    )
    current: bool = strawberry.field(
        description="Whether this is the session of the access token that asks, or the"
        " one that a login has just opened."
    )
    row: strawberry.Private[models.Session]
    viewer: strawberry.Private[Viewer]

    @classmethod
    def of(cls, session: models.Session, viewer: Viewer) -> Self:
        return cls(
            id=strawberry.ID(ids.show(ids.SESSION, session.id)),
            device=Device.of(session),
            resolution=session.resolution,
            created_at=session.created_at,
            last_seen_at=session.last_seen_at,
            expires_at=session.expires_at,
            revoked_at=session.revoked_at,
            current=session.id == viewer.session_id,
            row=session,
            viewer=viewer,
        )


SessionConnection = Connection[Session]


@strawberry.type(
    description="The tokens of a session. The access token is a signed JWT (RFC 9068)"
    " that verifies against `/.well-known/jwks.json`."
)
class Tokens:
    access_token: str = strawberry.field(
        description="For `Authorization: Bearer`, here and at the app's own back end."
    )
    token_type: str = strawberry.field(description="`Bearer`.")
    expires_in: int = strawberry.field(
        description="Seconds until the access token expires."
    )
    refresh_token: str = strawberry.field(
        description="For `refreshSession`: good for one use, which replaces it. Keep it"
        " in the device's key store."
    )
    refresh_expires_in: int = strawberry.field(
        description="Seconds until the refresh token dies if it is not used."
    )

    @classmethod
    def of(cls, tokens: IssuedTokens) -> Self:
        return cls(
            access_token=tokens.access_token,
            token_type="Bearer",
            expires_in=tokens.expires_in,
            refresh_token=tokens.refresh_token,
            refresh_expires_in=tokens.refresh_expires_in,
        )


@strawberry.input(
    description="What the app says of the device. All of it is optional, and too long"
    " values are cut: a long name must not fail a login."
)
class DeviceInput(Filled):
    name: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="What the person calls it, e.g. `Amy's phone`: up to 128"
        " characters.",
    )
    platform: DevicePlatform | None = strawberry.field(
        default=strawberry.UNSET, description="What it runs."
    )
    os_version: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The operating system's version, e.g. `17.5.1`: up to 64"
        " characters.",
    )
    app_version: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The app's own version, e.g. `2.3.0`: up to 64 characters.",
    )
    installation_id: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="A random id that the app chose at its first start, e.g. a UUID: up"
        " to 128 characters. A later login of the same account from the same"
        " installation replaces the session.",
    )


@strawberry.input(description="What to end one's session by.")
class SignOutInput:
    refresh_token: str = strawberry.field(
        description="The session's refresh token: it ends the session where there is no"
        " live access token."
    )


@strawberry.type(description="The session that was ended.")
class SignOutPayload:
    session: Session | None = strawberry.field(
        default=None,
        description="The session; null where the tokens were no session's any more.",
    )


@strawberry.input(description="One of one's own sessions, to end.")
class RevokeMySessionInput:
    id: strawberry.ID = strawberry.field(description="The session's id (`ses_…`).")


@strawberry.input(description="A session to end.")
class RevokeSessionInput:
    id: strawberry.ID = strawberry.field(description="The session's id (`ses_…`).")


@strawberry.type(description="The session as it now is, or why not.")
class RevokeSessionPayload:
    session: Session | None = strawberry.field(
        default=None, description="The session; null where there are errors."
    )
    errors: list[InputError] = strawberry.field(
        default_factory=no_errors,
        description="Empty where it has ended, also if it had ended before.",
    )


@strawberry.input(description="Which sessions to end. Exactly one key.")
class RevokeSessionsInput(Filled):
    user_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description="All sessions of this account (`usr_…`).",
    )
    identity_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description="All sessions that came through this identity (`idn_…`).",
    )
    identity_source_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description="All sessions that came through this source (`src_…`). Under ADMIN"
        " those of accounts above MEMBER are passed over.",
    )
    app_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description="All sessions for this app (`app_…`). Under ADMIN those of accounts"
        " above MEMBER are passed over.",
    )


@strawberry.type(description="How many sessions were ended, or why none.")
class RevokeSessionsPayload:
    revoked_count: int = strawberry.field(
        default=0, description="How many sessions have ended by this."
    )
    errors: list[InputError] = strawberry.field(
        default_factory=no_errors, description="Empty where it was done."
    )


# At the end, since what they name in turn is in this module.
from schema.app import App  # noqa: E402
from schema.identity import Identity  # noqa: E402
from schema.identity_source import (  # noqa: E402
    IdentitySource,
    WecomMobileIdentitySource,
)
from schema.user import User  # noqa: E402
