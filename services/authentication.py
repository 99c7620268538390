"""
Whose credential it is that a request carries.

Inside Hefu a token is worth what its session is worth now: ended, it is refused at
once, however long it was to last; and a role is the account's role now.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from models import Role, Session, User, UserStatus, database, ids
from models.gathered import Gathered
from services import sessions
from services.access_tokens import AccessTokens
from services.api_keys import PREFIX, ApiKeys
from services.batches import among
from services.callers import Caller, Origin
from services.clock import Clock
from services.errors import Unauthenticated, UnauthenticatedReason
from services.pages import Where

# Ours have 600 characters at the most.
LONGEST_HEADER = 4096

# Of the app no more than counts here: each request reads this.
_FIND = """
SELECT {session}, {user}, app.enabled AS app_enabled, app.admin_access
FROM sessions session
JOIN users account ON account.id = session.user_id
LEFT JOIN apps app ON app.id = session.app_id
WHERE {sought}
"""


class _Found(NamedTuple):
    """
    A session and whose it is.

    :ivar app_enabled: None where the app is no more.
    """

    session: Session
    user: User
    app_enabled: bool | None
    admin_access: bool | None


class Authentication:
    """Turns an `Authorization` header into a caller."""

    def __init__(
        self, *, clock: Clock, access_tokens: AccessTokens, api_keys: ApiKeys
    ) -> None:
        self._clock = clock
        self._access_tokens = access_tokens
        self._api_keys = api_keys
        self._rows: Gathered[UUID, Any] = Gathered(_load)

    async def caller(self, origin: Origin, authorization: str | None) -> Caller:
        """
        Who asks.

        An access token that has merely expired counts as none, since an app that always
        sends its token must still be able to refresh.

        :raises Unauthenticated: the credential is malformed, unknown or revoked; or an
            API key that has expired.
        """
        if authorization is None:
            return Caller(origin)
        credential = _bearer(authorization)
        if credential.startswith(PREFIX):
            key = await self._api_keys.find(credential)
            return Caller(origin, role=key.role, api_key=key)
        return await self._person(origin, credential)

    async def _person(self, origin: Origin, credential: str) -> Caller:
        token = await self._access_tokens.verify(credential)
        found = await self._find(token.session_id)
        if token.expired:
            # Of a session that was ended as well: an app that always sends its token
            # could not even log in again. One whose record is gone is long over.
            ended = found is not None and _is_ended(found)
            reason = UnauthenticatedReason
            return Caller(origin, reason=reason.REVOKED if ended else reason.EXPIRED)
        # It was a session once, as we signed for it: its account is deleted.
        if found is None or _is_ended(found):
            raise Unauthenticated(UnauthenticatedReason.REVOKED)
        session, user, _, admin_access = found
        now = self._clock()
        if ids.read(ids.APP, token.app_id) != session.app_id:
            raise Unauthenticated(UnauthenticatedReason.INVALID)
        if session.expires_at <= now:
            return Caller(origin, reason=UnauthenticatedReason.EXPIRED)
        await sessions.note_use(session, now)
        role = user.role if admin_access else Role.MEMBER
        return Caller(origin, role=role, user=user, session=session)

    async def _find(self, session_id: str) -> _Found | None:
        id = ids.read(ids.SESSION, session_id)
        if id is None:
            return None
        # Each request reads objects of its own, which it may change.
        row = await self._rows.get(id)
        if row is None:
            return None
        session = database.read(Session, row, "session")
        user = database.read(User, row, "account")
        if session is None or user is None:
            return None
        return _Found(session, user, row["app_enabled"], row["admin_access"])


def _is_ended(found: _Found) -> bool:
    """On purpose, and not by the passing of time."""
    session, user, app_enabled, _ = found
    is_active = user.status is UserStatus.ACTIVE
    return session.revoked_at is not None or not is_active or not app_enabled


async def _load(wanted: Sequence[UUID]) -> dict[UUID, Any]:
    """Sessions with whose they are, by their ids."""
    where = Where()
    sought = among(where, "session.id", wanted)
    rows = await database.look_up(_find(sought), *where.values)
    return {ids.uuid_of(row["session.id"]): row for row in rows}


@functools.cache
def _find(sought: str) -> str:
    return _FIND.format(
        session=database.columns(Session, "session"),
        user=database.columns(User, "account"),
        sought=sought,
    )


def _bearer(authorization: str) -> str:
    scheme, _, credential = authorization.partition(" ")
    credential = credential.strip(" ")
    wrong = scheme.lower() != "bearer" or not credential or " " in credential
    if wrong or len(authorization) > LONGEST_HEADER or not credential.isascii():
        raise Unauthenticated(UnauthenticatedReason.INVALID)
    return credential
