"""
How often somebody may guess a password.

Ten wrong ones within fifteen minutes for one account from one address, or a hundred a
day from everywhere (binding-rules.md, 6). A guess is written down before its hash is
computed and taken back when it was right, so guesses made at once count one another,
whatever ticket, sign-in or process they come through.

The lower bound is an address's own: ten guesses of a stranger's lock nobody else out.
"""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from models import PasswordAttempt, User, database, digests, ids
from services.clock import Clock
from services.refusals import RateLimited


@dataclass(frozen=True, slots=True)
class Bound:
    """At most `most` wrong passwords within `window`."""

    most: int
    window: timedelta
    rule: str


FROM_ONE_ADDRESS = Bound(10, timedelta(minutes=15), "attempts.address")
FROM_EVERYWHERE = Bound(100, timedelta(days=1), "attempts.everywhere")

_OLD = """
DELETE FROM password_attempts WHERE id IN (
    SELECT id FROM password_attempts WHERE created_at < $1
    ORDER BY created_at LIMIT $2
) RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A guess that counts as wrong until it turns out to be right."""

    id: uuid.UUID


def account_key(user: User | None, typed: str) -> str:
    """
    What the guesses at one account are counted under.

    :param typed: the name as it is compared, for where there is no such account: it is
        limited in just the same way, or the limit would tell which accounts exist.
    """
    if user is not None:
        return digests.of("account", str(user.id))
    return digests.of("no account", typed)


class Attempts:
    """Counts wrong passwords over all processes."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock

    async def begin(self, account: str, address: str) -> Attempt:
        """
        Count a guess, before anything is hashed.

        :param account: what `account_key` returned.
        :raises RateLimited: there were too many wrong ones; this one does not count.
        """
        now = self._clock()
        attempt = PasswordAttempt(
            id=ids.new(), account=account, address=address, created_at=now
        )
        async with database.transaction():
            await _take_turn(account)
            await self._check(FROM_ONE_ADDRESS, now, account=account, address=address)
            await self._check(FROM_EVERYWHERE, now, account=account)
            await attempt.save(force_create=True)
        return Attempt(attempt.id)

    async def succeeded(self, attempt: Attempt) -> None:
        """It was the right password, or nobody looked: it does not count."""
        await PasswordAttempt.filter(id=attempt.id).delete()

    async def prune(self, *, limit: int) -> int:
        """Delete at most `limit` of those that no bound counts any more."""
        before = self._clock() - FROM_EVERYWHERE.window
        return len(await database.fetch(_OLD, before, limit))

    async def _check(self, bound: Bound, now: datetime, **counted: str) -> None:
        """Refuse until the last guess that fills the bound has left its window."""
        counting = PasswordAttempt.filter(
            created_at__gt=now - bound.window, **counted
        ).order_by("-created_at")
        filling = await counting.offset(bound.most - 1).first()
        if filling is None:
            return
        wait = filling.created_at + bound.window - now
        raise RateLimited(bound.rule, retry_after=math.ceil(wait.total_seconds()))


async def _take_turn(account: str) -> None:
    """
    One after the other for one account, until the transaction ends.

    Otherwise fifty guesses at once would each see none of the others'. SQLite's
    transactions are one at a time anyhow.
    """
    if database.dialect() == "postgres":
        await database.fetch(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", account
        )
