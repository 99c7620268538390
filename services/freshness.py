"""
What a person may do only who has just logged in (binding-rules.md, 6).

Somebody who finds the phone later, or who stole an access token, adds no way in of
their own, and takes none away.
"""

from __future__ import annotations

from datetime import timedelta

from models import Session, User
from services.audit import Audit
from services.callers import Caller
from services.clock import Clock
from services.errors import Unauthenticated, UnauthenticatedReason

FRESH = timedelta(minutes=10)


class Freshness:
    """Asks for a login of the last ten minutes."""

    def __init__(self, *, clock: Clock, audit: Audit) -> None:
        self._clock = clock
        self._audit = audit

    async def check(self, caller: Caller, action: str) -> tuple[User, Session]:
        """
        Whose session it is, and the session.

        :param action: of the audit event that tells of a refusal.
        :raises Unauthenticated: REAUTHENTICATE: the login is older; or, as
            `Caller.person` does, that there is none.
        :raises Forbidden: it is an API key's.
        """
        user, session = caller.person()
        if self._clock() - session.created_at < FRESH:
            return user, session
        await self._audit.fold(
            caller, action, app_id=session.app_id, rule="session.not_fresh"
        )
        raise Unauthenticated(UnauthenticatedReason.REAUTHENTICATE)
