"""
Refresh tokens: opaque, replaced at each use, stored as digests, a chain per session.

A successor is derived from its predecessor under a key of the server whose id stands
with the predecessor: a phone that lost an answer, even hours ago, is given the very
same token again, though nothing that is stored could be read as one.
"""

from __future__ import annotations

import base64
import functools
import secrets
import uuid
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from models import RefreshToken, Session, User, database, digests, rows
from models.together import Write, insert
from services.clock import Clock
from services.keys import DerivingKey, Keys

# For so long the replaced token is answered as before, whatever came after: an app that
# asks twice at once is no thief.
GRACE = timedelta(seconds=30)

PREFIX = "hefur_"
_LENGTH = len(PREFIX) + 43

_REPLACE = """
UPDATE refresh_tokens SET replaced_at = $1, successor = $2
WHERE digest = $3 AND replaced_at IS NULL
"""

# Behind a place, so that no batch looks at what the one before has left.
_REPLACED = """
SELECT link.digest, link.replaced_at, NOT EXISTS (
    SELECT 1 FROM refresh_tokens heir
    WHERE heir.digest = link.successor AND heir.replaced_at IS NULL
) AS spent
FROM refresh_tokens link
WHERE link.replaced_at < $1 AND (link.replaced_at, link.digest) > ($2, $3)
ORDER BY link.replaced_at, link.digest LIMIT $4
"""


_HELD = """
SELECT {token}, {session}, {user} FROM refresh_tokens token
JOIN sessions session ON session.id = token.session_id
JOIN users account ON account.id = session.user_id
WHERE token.digest = $1
"""


class Standing(Enum):
    """What presenting a token means."""

    CURRENT = "current"
    ANSWER_AGAIN = "answer again"
    THEFT = "theft"


@dataclass(frozen=True, slots=True)
class Issued:
    """A token in the clear, on its way to the phone, and the key that made it."""

    text: str = field(repr=False)
    key_id: uuid.UUID
    row: RefreshToken


class RefreshTokens:
    """Issues them, replaces them, and says what a presented one means."""

    def __init__(self, *, keys: Keys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    async def first(self, session: Session, *, repeatable: str | None) -> Issued:
        """
        The first token of a session's chain; its row is to be written with the session.

        :param repeatable: what the request presented that only the device knows: the
            same request is then given the same token; None makes it random.
        """
        key = await self._keys.deriving()
        text = (
            _derived(key, "first refresh token", str(session.id), repeatable)
            if repeatable is not None
            else PREFIX + secrets.token_urlsafe(32)
        )
        return Issued(text, key.id, self._row(text, session.id, key))

    async def first_again(
        self, session: Session, key_id: uuid.UUID, *, repeatable: str
    ) -> str | None:
        """The token that `first` gave; None where its key is gone."""
        key = await self._keys.deriving_by_id(key_id)
        if key is None:
            return None
        return _derived(key, "first refresh token", str(session.id), repeatable)

    async def standing(self, token: RefreshToken) -> Standing:
        """
        Whether a presented token is the chain's end, a lost answer, or stolen.

        The predecessor of a token that was never used is a lost answer, however old.
        """
        if token.replaced_at is None:
            return Standing.CURRENT
        successor = await RefreshToken.get_or_none(digest=token.successor)
        unused = successor is not None and successor.replaced_at is None
        if unused or self._clock() - token.replaced_at <= GRACE:
            return Standing.ANSWER_AGAIN
        return Standing.THEFT

    async def successor(self, text: str, token: RefreshToken) -> Issued | None:
        """What replaces `text`, or has replaced it; None where its key is gone."""
        key = await self._keys.deriving_by_id(token.key_id)
        if key is None:
            return None
        successor = _derived(key, "successor", text)
        current = await self._keys.deriving()
        row = self._row(successor, token.session_id, current)
        return Issued(successor, current.id, row)

    def _row(self, text: str, session_id: uuid.UUID, key: DerivingKey) -> RefreshToken:
        return rows.new(
            RefreshToken,
            digest=digests.of(text),
            session_id=session_id,
            key_id=key.id,
            created_at=self._clock(),
        )


async def held(text: str) -> tuple[RefreshToken, Session, User] | None:
    """The stored half of a presented token, and whose it is."""
    if len(text) != _LENGTH or not text.startswith(PREFIX):
        return None
    row = await database.look_up_one(_held(), digests.of(text))
    if row is None:
        return None
    token = database.read(RefreshToken, row, "token")
    session = database.read(Session, row, "session")
    user = database.read(User, row, "account")
    return (token, session, user) if token and session and user else None


@functools.cache
def _held() -> str:
    return _HELD.format(
        token=database.columns(RefreshToken, "token"),
        session=database.columns(Session, "session"),
        user=database.columns(User, "account"),
    )


def replacement(token: RefreshToken, successor: Issued) -> tuple[Write, Write]:
    """
    What replaces a current token; of two who try at once, one does.

    Both hold the same successor, as it is derived from the token.
    """
    row = successor.row
    values = row.created_at, row.digest, token.digest
    return Write(_REPLACE, values, needed=True), insert(row)


async def delete(session_ids: Sequence[uuid.UUID], *, limit: int) -> int:
    """Delete at most `limit` refresh tokens of these sessions."""
    places = ", ".join(f"${number}" for number in range(2, len(session_ids) + 2))
    rows = await database.fetch(
        "DELETE FROM refresh_tokens WHERE digest IN (SELECT digest FROM refresh_tokens "
        f"WHERE session_id IN ({places}) LIMIT $1) RETURNING digest",
        limit,
        *session_ids,
    )
    return len(rows)


async def prune(before: datetime, *, limit: int) -> AsyncGenerator[int]:
    """
    Delete what was replaced before `before` in chains that go on, a batch at a time.

    The predecessor of a token that was never used stays, however old: it is the only
    one that a phone which lost an answer holds.

    :returns: how many each batch deleted.
    """
    place: tuple[Any, str] = datetime.fromtimestamp(0, UTC), ""
    while rows := await database.fetch(_REPLACED, before, *place, limit):
        place = rows[-1]["replaced_at"], rows[-1]["digest"]
        spent = [row["digest"] for row in rows if row["spent"]]
        yield await RefreshToken.filter(digest__in=spent).delete() if spent else 0


def _derived(key: DerivingKey, purpose: str, *parts: str) -> str:
    raw = key.derive(purpose, *parts)
    return PREFIX + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
