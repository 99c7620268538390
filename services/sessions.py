"""Sessions: opened by a login, kept alive by refreshes, ended by many things."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from typing_extensions import Unpack

from models import (
    App,
    DevicePlatform,
    LoginResolution,
    Session,
    User,
    database,
    digests,
    ids,
    rows,
)
from models.database import Row
from models.together import Write
from services import refresh_tokens
from services.access_tokens import AccessTokens
from services.audit import Known
from services.callers import Caller
from services.clock import Clock
from services.errors import Unauthenticated, UnauthenticatedReason
from services.refresh_tokens import Issued, RefreshTokens

_END = """
UPDATE sessions SET revoked_at = $1
WHERE {condition} AND revoked_at IS NULL AND expires_at > $1
RETURNING id, app_id, identity_source_id
"""

_SEEN = """
UPDATE sessions SET last_seen_at = $1
WHERE id = $2 AND last_seen_at <= $3 RETURNING id
"""

_EXTEND = """
UPDATE sessions SET expires_at = $1,
    last_seen_at = CASE WHEN last_seen_at <= $2 THEN $3 ELSE last_seen_at END
WHERE id = $4 AND revoked_at IS NULL
"""

# Each half on an index of its own.
_ENDED = """
SELECT id FROM sessions WHERE expires_at < $1
UNION ALL SELECT id FROM sessions WHERE revoked_at < $1 LIMIT $2
"""

_REPLACE = """
UPDATE sessions SET revoked_at = $1
WHERE user_id = $2 AND app_id = $3 AND installation_id = $4
AND revoked_at IS NULL AND expires_at > $1
"""

# `lastSeenAt` is written no more often.
SEEN_EVERY = timedelta(minutes=1)

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
        return Device(
            name=_cut(self.name, 128),
            platform=self.platform,
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


@dataclass(frozen=True, slots=True)
class Ended:
    """A session that was just ended."""

    id: uuid.UUID
    app_id: uuid.UUID
    identity_source_id: uuid.UUID | None

    @classmethod
    def of(cls, row: Row) -> Self:
        """What an UPDATE has returned of it."""
        source_id = row["identity_source_id"]
        return cls(
            ids.uuid_of(row["id"]),
            ids.uuid_of(row["app_id"]),
            source_id and ids.uuid_of(source_id),
        )

    def facts(self, **more: Unpack[Known]) -> Known:
        """What the audit event of its end tells."""
        known: Known = {
            "subject": ids.show(ids.SESSION, self.id),
            "app_id": self.app_id,
            "identity_source_id": self.identity_source_id,
            "changed": ["revokedAt"],
        }
        return {**known, **more}


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
    ) -> tuple[Session, Issued]:
        """
        Open a session, in the transaction of whatever proved who it is.

        One of the same account, app and installation is replaced: reinstalling nothing,
        a person has one session per device.
        """
        session, issued = await self.prepare(
            caller,
            user,
            app,
            resolution,
            device=device,
            identity_id=identity_id,
            identity_source_id=identity_source_id,
        )
        await save(session, issued)
        return session, issued

    async def prepare(
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
        The rows of a session that is to be opened: see `open`.

        :param repeatable: see `RefreshTokens.first`.
        """
        now = self._clock()
        device = (device or Device()).bounded()
        ends_at = now + timedelta(seconds=app.session_lifetime)
        idle_at = now + timedelta(seconds=app.refresh_token_lifetime)
        session = rows.new(
            Session,
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


def replaced(session: Session) -> tuple[Write, ...]:
    """The end of the session of the same installation, where there may be one."""
    if session.installation_id is None:
        return ()
    installation = session.user_id, session.app_id, session.installation_id
    return (Write(_REPLACE, (session.created_at, *installation)),)


async def save(session: Session, issued: Issued) -> None:
    """Write what was prepared, in the caller's transaction."""
    for ended in replaced(session):
        await database.fetch(f"{ended.sql} RETURNING id", *ended.values)
    await session.save(force_create=True)
    await issued.row.save(force_create=True)


async def end(column: str, value: uuid.UUID, *, now: datetime) -> list[Ended]:
    """
    End every live session whose `column` is `value`, in the caller's transaction.

    :returns: those that were ended.
    """
    rows = await database.fetch(_END.format(condition=f"{column} = $2"), now, value)
    return list(map(Ended.of, rows))


async def end_others(
    user_id: uuid.UUID, kept: uuid.UUID, *, now: datetime
) -> list[Ended]:
    """As `end`: every live session of an account but one."""
    sql = _END.format(condition="user_id = $2 AND id <> $3")
    rows = await database.fetch(sql, now, user_id, kept)
    return list(map(Ended.of, rows))


async def note_use(session: Session, now: datetime) -> None:
    """Its access token was used: `lastSeenAt`, to the minute."""
    if now - session.last_seen_at < SEEN_EVERY:
        return
    await database.fetch(_SEEN, now, session.id, now - SEEN_EVERY)
    session.last_seen_at = now


def extension(session: Session, expires_at: datetime, now: datetime) -> Write:
    """What lets it live until `expires_at`, if it still lives."""
    values = expires_at, now - SEEN_EVERY, now, session.id
    return Write(_EXTEND, values, needed=True)


def extended(session: Session, expires_at: datetime, now: datetime) -> None:
    """Note in `session` what `extension` has written."""
    session.expires_at = expires_at
    if now - session.last_seen_at >= SEEN_EVERY:
        session.last_seen_at = now


def is_live(session: Session, *, now: datetime) -> bool:
    """Whether it was neither ended nor left to expire."""
    return session.revoked_at is None and session.expires_at > now


async def must_go_on(session: Session, *, now: datetime) -> None:
    """
    Look at it again, in the transaction of what it is to vouch for.

    :raises Unauthenticated: REVOKED: it was ended, or expired, since it was read.
    """
    current = await Session.get_or_none(id=session.id)
    if current is None or not is_live(current, now=now):
        raise Unauthenticated(UnauthenticatedReason.REVOKED)


async def prune(before: datetime, *, limit: int) -> AsyncGenerator[int]:
    """
    Delete the sessions that ended before `before`, a batch at a time.

    Their refresh tokens first: a session of a year may have thousands, and to delete
    them with it, for hundreds of sessions at once, would hold up everybody else.

    :returns: how many sessions each batch deleted.
    """
    while ended := await database.fetch(_ENDED, before, limit):
        chosen = [ids.uuid_of(row["id"]) for row in ended]
        if await refresh_tokens.delete(chosen, limit=limit) == limit:
            yield 0
            continue
        yield await Session.filter(id__in=chosen).delete()


def _cut(text: str | None, most: int) -> str | None:
    if text is None:
        return None
    return _UNSTORABLE.sub("", text).strip()[:most] or None


def _identified(text: str | None) -> str | None:
    """Two long ids that begin alike must not be taken for one installation."""
    if text is None or len(text) <= 128:  # noqa: PLR2004
        return _cut(text, 128)
    return digests.of("installation", text)
