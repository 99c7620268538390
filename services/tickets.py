"""Binding tickets: leave to bind one member, through one app and source."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from models import App, BindingTicket, IdentitySource, database, digests
from services.clock import Clock
from services.profiles import Profile
from services.refusals import TicketInvalid

LIFETIME = timedelta(minutes=10)

# Wrong passwords, whatever the account.
FAILURES = 5

PREFIX = "hefut_"
_LENGTH = len(PREFIX) + 43

_GUESS = """
UPDATE binding_tickets SET failures = failures + 1
WHERE digest = $1 AND used_at IS NULL AND failures < $2 AND expires_at > $3
RETURNING digest
"""

_TAKE_BACK = """
UPDATE binding_tickets SET failures = failures - 1 WHERE digest = $1 RETURNING digest
"""

_USE = """
UPDATE binding_tickets SET used_at = $1
WHERE digest = $2 AND used_at IS NULL AND expires_at > $1 RETURNING digest
"""


@dataclass(frozen=True, slots=True)
class Issued:
    """A ticket in the clear, on its way to the phone."""

    text: str = field(repr=False)
    expires_at: datetime


class Tickets:
    """Issues tickets and takes them back; each ends with one success."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock

    async def issue(self, app: App, source: IdentitySource, profile: Profile) -> Issued:
        """A ticket of 256 random bits; only its digest is kept."""
        text = PREFIX + secrets.token_urlsafe(32)
        now = self._clock()
        expires_at = now + LIFETIME
        await BindingTicket.create(
            digest=digests.of(text),
            app_id=app.id,
            identity_source_id=source.id,
            issuer=source.corp_id,
            subject=profile.subject,
            profile=profile.to_store(),
            created_at=now,
            expires_at=expires_at,
        )
        return Issued(text, expires_at)

    async def find(self, text: str) -> BindingTicket:
        """
        :raises TicketInvalid: it is unknown, used, expired or exhausted.
        """
        if len(text) != _LENGTH or not text.startswith(PREFIX):
            raise TicketInvalid("ticket.unknown")
        ticket = await BindingTicket.get_or_none(digest=digests.of(text))
        if ticket is None:
            raise TicketInvalid("ticket.unknown")
        if ticket.used_at is not None:
            raise TicketInvalid("ticket.used")
        if ticket.failures >= FAILURES:
            raise TicketInvalid("ticket.exhausted")
        if ticket.expires_at <= self._clock():
            raise TicketInvalid("ticket.expired")
        return ticket

    async def guess(self, ticket: BindingTicket) -> None:
        """
        Count a wrong password against it, before anything is hashed.

        Guesses made at once would otherwise all find the ticket as good as new.

        :raises TicketInvalid: there were five already.
        """
        now = self._clock()
        if not await database.fetch(_GUESS, ticket.digest, FAILURES, now):
            raise TicketInvalid("ticket.exhausted")

    async def take_back(self, ticket: BindingTicket) -> None:
        """It was no wrong password: what was counted does not count."""
        await database.fetch(_TAKE_BACK, ticket.digest)

    async def use(self, ticket: BindingTicket) -> None:
        """
        Spend it, in the transaction of what it is spent on.

        :raises TicketInvalid: somebody else was faster.
        """
        if not await database.fetch(_USE, self._clock(), ticket.digest):
            raise TicketInvalid("ticket.used")
