"""Sessions: opened by a login, kept alive by refreshes, ended by many things."""

from __future__ import annotations

import math
import re
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from models import (
    App,
    DevicePlatform,
    LoginResolution,
    Session,
    User,
    database,
    digests,
    ids,
)
from services.access_tokens import AccessTokens
from services.callers import Caller
from services.clock import Clock
from services.refresh_tokens import Issued, RefreshTokens

_END = """
UPDATE sessions SET revoked_at = $1
WHERE {condition} AND revoked_at IS NULL AND expires_at > $1 RETURNING id
"""

# What neither database stores, or what breaks a line of a list.
_UNSTORABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Device:
    """What an app says about the device; believed by nobody, shown to the person."""

    name: str | None = None
    platform: DevicePlatform | None = None
    os_version: str | None = None
    app_version: str | None = None
    installation_id: str | None = None

    def bounded(self) -> Device:
        """Cut to what is stored: a long name must not fail a login."""
        return replace(
            self,
            name=_cut(self.name, 128),
            os_version=_cut(self.os_version, 64),
            app_version=_cut(self.app_version, 64),
            installation_id=_identified(self.installation_id),
        )


@dataclass(frozen=True, slots=True)
class Tokens:
    """A session's tokens in the clear; seconds until each dies."""

    access_token: str = field(repr=False)
    expires_in: int
    refresh_token: str = field(repr=False)
    refresh_expires_in: int


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A login that succeeded."""

    session: Session
    user: User
    app: App
    tokens: Tokens


class Sessions:
    """Opens sessions, and hands out what keeps them alive."""

    def __init__(
        self,
        *,
        clock: Clock,
        access_tokens: AccessTokens,
        refresh_tokens: RefreshTokens,
    ) -> None:
        self._clock = clock
        self._access_tokens = access_tokens
        self._refresh_tokens = refresh_tokens

    async def open(
        self,
        caller: Caller,
        user: User,
        app: App,
        resolution: LoginResolution,
        *,
        device: Device | None,
        identity_id: uuid.UUID | None = None,
        identity_source_id: uuid.UUID | None = None,
        repeatable: str | None = None,
    ) -> tuple[Session, Issued]:
        """
        Open a session, in the transaction of whatever proved who it is.

        One of the same account, app and installation is replaced: reinstalling nothing,
        a person has one session per device.

        :param repeatable: see `RefreshTokens.first`.
        """
        now = self._clock()
        device = (device or Device()).bounded()
        if device.installation_id is not None:
            await self._replace(user, app, device.installation_id, now)
        ends_at = now + timedelta(seconds=app.session_lifetime)
        idle_at = now + timedelta(seconds=app.refresh_token_lifetime)
        session = Session(
            id=ids.new(),
            user_id=user.id,
            app_id=app.id,
            identity_id=identity_id,
            identity_source_id=identity_source_id,
            resolution=resolution,
            device_name=device.name,
            platform=device.platform,
            os_version=device.os_version,
            app_version=device.app_version,
            installation_id=device.installation_id,
            ip_address=caller.origin.ip_address,
            user_agent=_cut(caller.origin.user_agent, 512),
            created_at=now,
            last_seen_at=now,
            expires_at=min(idle_at, ends_at),
            ends_at=ends_at,
        )
        await session.save(force_create=True)
        issued = await self._refresh_tokens.first(session, repeatable=repeatable)
        return session, issued

    async def tokens(self, session: Session, app: App, refresh_token: str) -> Tokens:
        """The tokens to answer with; the access token is signed anew."""
        lifetime = timedelta(seconds=app.access_token_lifetime)
        access_token, expires_in = await self._access_tokens.sign(
            session, lifetime=lifetime
        )
        left = session.expires_at - self._clock()
        return Tokens(
            access_token=access_token,
            expires_in=expires_in,
            refresh_token=refresh_token,
            refresh_expires_in=max(math.ceil(left.total_seconds()), 0),
        )

    async def first_tokens_again(
        self, session: Session, app: App, key_id: uuid.UUID, *, repeatable: str
    ) -> Tokens | None:
        """What the same login was answered; None where its key is gone."""
        text = await self._refresh_tokens.first_again(
            session, key_id, repeatable=repeatable
        )
        return await self.tokens(session, app, text) if text else None

    async def _replace(
        self, user: User, app: App, installation_id: str, now: datetime
    ) -> None:
        sql = _END.format(
            condition="user_id = $2 AND app_id = $3 AND installation_id = $4"
        )
        await database.fetch(sql, now, user.id, app.id, installation_id)


async def end(column: str, value: uuid.UUID, *, now: datetime) -> list[uuid.UUID]:
    """
    End every live session whose `column` is `value`, in the caller's transaction.

    :returns: the ids of those that were ended.
    """
    rows = await database.fetch(_END.format(condition=f"{column} = $2"), now, value)
    return [uuid.UUID(str(row["id"])) for row in rows]


async def end_others(
    user_id: uuid.UUID, kept: uuid.UUID, *, now: datetime
) -> list[uuid.UUID]:
    """As `end`: every live session of an account but one."""
    sql = _END.format(condition="user_id = $2 AND id <> $3")
    rows = await database.fetch(sql, now, user_id, kept)
    return [uuid.UUID(str(row["id"])) for row in rows]


def is_live(session: Session, *, now: datetime) -> bool:
    """Whether it was neither ended nor left to expire."""
    return session.revoked_at is None and session.expires_at > now


async def prune(before: datetime, *, limit: int) -> int:
    """Delete at most `limit` sessions that ended before `before`, and their chains."""
    rows = await database.fetch(
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions "
        "WHERE expires_at < $1 OR revoked_at < $1 ORDER BY expires_at LIMIT $2) "
        "RETURNING id",
        before,
        limit,
    )
    return len(rows)


async def prune_chains(before: datetime, *, limit: int) -> int:
    """Delete at most `limit` links of living chains that were replaced long ago."""
    rows = await database.fetch(
        "DELETE FROM refresh_tokens WHERE digest IN (SELECT digest FROM refresh_tokens "
        "WHERE replaced_at < $1 ORDER BY replaced_at LIMIT $2) RETURNING digest",
        before,
        limit,
    )
    return len(rows)


def _cut(text: str | None, most: int) -> str | None:
    if text is None:
        return None
    return _UNSTORABLE.sub("", text).strip()[:most] or None


def _identified(text: str | None) -> str | None:
    """Two long ids that begin alike must not be taken for one installation."""
    if text is None or len(text) <= 128:  # noqa: PLR2004
        return _cut(text, 128)
    return digests.of("installation", text)
