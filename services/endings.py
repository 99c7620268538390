"""Ending sessions on purpose: by whoever holds them, and by administrators."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from models import Identity, Role, Session, User, database, ids
from services import forms, privileges, sessions
from services.audit import Audit
from services.batches import among
from services.callers import Caller
from services.clock import Clock
from services.errors import (
    InputErrorCode,
    InputRejected,
    Problem,
    rejected,
)
from services.language import Text
from services.pages import Where
from services.refreshing import Refreshing
from services.sessions import Ended

ONE_KEY = Text("Exactly one key is needed.", "必须且只能提供一个键。")

# Sessions that are ended in one transaction: an app may have a hundred thousand, and
# neither logins nor refreshes shall wait for all of them.
BATCH = 500

# Only what was there when it was asked for, or an app that people log in to meanwhile
# would keep it going.
_BEFORE = "session.created_at <= $1"
_END = """
UPDATE sessions SET revoked_at = $1
WHERE id IN (
    SELECT session.id FROM sessions session
    JOIN users account ON account.id = session.user_id
    WHERE session.{column} = $2 AND session.revoked_at IS NULL
    AND session.expires_at > $1 AND {which}
    AND account.role IN ({roles}) LIMIT $3
) AND revoked_at IS NULL
RETURNING id, app_id, identity_source_id
"""


@dataclass(frozen=True, slots=True)
class Whose:
    """Which sessions to end: exactly one of these."""

    user_id: str | None = None
    identity_id: str | None = None
    identity_source_id: str | None = None
    app_id: str | None = None


class Endings:
    """Ends sessions, in effect at once on every process."""

    def __init__(self, *, clock: Clock, audit: Audit, refreshing: Refreshing) -> None:
        self._clock = clock
        self._audit = audit
        self._refreshing = refreshing

    async def sign_out(
        self, caller: Caller, refresh_token: str | None
    ) -> Session | None:
        """
        End the access token's session, or, with no live token, the refresh token's.

        An unknown or ended one is signed out already: that is what was asked for.

        :raises Unauthenticated: there is neither.
        """
        if caller.session is None and refresh_token is None:
            caller.person()
        session = caller.session
        if session is None:
            found = await self._refreshing.session_of(refresh_token or "")
            session = found[0] if found else None
        if session is None:
            return None
        user = await User.get_or_none(id=session.user_id)
        await self._end(caller, [session], "session.signed_out", by=user)
        return session

    async def revoke_mine(self, caller: Caller, session_id: str) -> Session:
        """
        :raises InputRejected: NOT_FOUND: there is none of this id that is the caller's.
        """
        user, _ = caller.person()
        session = await Session.get_or_none(id=ids.read(ids.SESSION, session_id))
        if session is None or session.user_id != user.id:
            raise rejected("id", InputErrorCode.NOT_FOUND, forms.NOT_FOUND)
        await self._end(caller, [session], "session.revoked")
        return session

    async def revoke(self, caller: Caller, session_id: str) -> Session:
        """
        :raises InputRejected: NOT_FOUND, or FORBIDDEN where its account's role is above
            MEMBER and the caller is no OWNER.
        """
        caller.require(Role.ADMIN)
        session = await Session.get_or_none(id=ids.read(ids.SESSION, session_id))
        if session is None:
            raise rejected("id", InputErrorCode.NOT_FOUND, forms.NOT_FOUND)
        user = await User.get(id=session.user_id)
        privileges.check(caller, user, "id")
        await self._end(caller, [session], "session.revoked")
        return session

    async def revoke_all(self, caller: Caller, whose: Whose) -> int:
        """
        End all sessions of an account, or that came through an identity, a source or
        an app; by source or app an ADMIN passes over accounts of a role above MEMBER.

        :returns: how many were ended.
        :raises InputRejected: not exactly one key, NOT_FOUND, or FORBIDDEN.
        """
        caller.require(Role.ADMIN)
        column, id = await self._read(caller, whose)
        roles = list(Role) if caller.role is Role.OWNER else [Role.MEMBER]
        names = ", ".join(f"'{role}'" for role in roles)
        now, ended = self._clock(), 0
        asked = now, id, BATCH
        ahead = await _opened_after(now, column, id)
        before = _END.format(column=column, roles=names, which=_BEFORE)
        while count := await self._end_batch(caller, before, *asked):
            ended += count
        # What a machine has opened whose clock is ahead.
        for first in range(0, len(ahead), BATCH):
            where = Where(values=[*asked])
            named = among(where, "session.id", ahead[first : first + BATCH])
            sql = _END.format(column=column, roles=names, which=named)
            ended += await self._end_batch(caller, sql, *where.values)
        return ended

    async def _end_batch(self, caller: Caller, sql: str, *values: Any) -> int:
        async with database.transaction():
            rows = await database.fetch(sql, *values)
            for ended in map(Ended.of, rows):
                await self._audit.record(caller, "session.revoked", **ended.facts())
        return len(rows)

    async def _read(self, caller: Caller, whose: Whose) -> tuple[str, uuid.UUID]:
        keys = {
            "userId": (whose.user_id, ids.USER, "user_id"),
            "identityId": (whose.identity_id, ids.IDENTITY, "identity_id"),
            "identitySourceId": (
                whose.identity_source_id,
                ids.SOURCE,
                "identity_source_id",
            ),
            "appId": (whose.app_id, ids.APP, "app_id"),
        }
        given = [(path, *key) for path, key in keys.items() if key[0] is not None]
        if len(given) != 1:
            code = InputErrorCode.REQUIRED if not given else InputErrorCode.CONFLICT
            raise InputRejected([Problem((), code, ONE_KEY)])
        path, text, prefix, column = given[0]
        id = ids.read(prefix, text or "")
        if id is None or not await _exists(column, id):
            raise rejected(path, InputErrorCode.NOT_FOUND, forms.NOT_FOUND)
        if user := await _account(column, id):
            privileges.check(caller, user, path)
        return column, id

    async def _end(
        self,
        caller: Caller,
        ended: Iterable[Session],
        action: str,
        *,
        by: User | None = None,
    ) -> None:
        now = self._clock()
        async with database.transaction():
            for session in ended:
                found = await sessions.end("id", session.id, now=now)
                if not found:
                    await session.refresh_from_db(fields=["revoked_at"])
                    continue
                session.revoked_at = now
                [gone] = found
                await self._audit.record(caller, action, **gone.facts(by=by))


async def _opened_after(now: datetime, column: str, id: uuid.UUID) -> list[uuid.UUID]:
    """Live sessions that are there now, and of a later time by their own word."""
    found = Session.filter(**{column: id}, created_at__gt=now, revoked_at=None)
    return [session.id for session in await found.only("id")]


_TABLES = {
    "user_id": "users",
    "identity_id": "identities",
    "identity_source_id": "identity_sources",
    "app_id": "apps",
}


async def _exists(column: str, id: uuid.UUID) -> bool:
    sql = f"SELECT 1 AS found FROM {_TABLES[column]} WHERE id = $1"
    return bool(await database.fetch(sql, id))


async def _account(column: str, id: uuid.UUID) -> User | None:
    """The one account that is concerned, where it is one."""
    if column == "user_id":
        return await User.get_or_none(id=id)
    if column == "identity_id":
        identity = await Identity.get(id=id)
        return await User.get_or_none(id=identity.user_id)
    return None
