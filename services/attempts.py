"""
How often somebody may guess a password.

Ten wrong ones within fifteen minutes for one account from one address, or a hundred a
day from everywhere (binding-rules.md, 6). A guess is written down before its hash is
computed and taken back when it was right, so guesses made at once count one another,
whatever ticket, sign-in or process they come through.

The lower bound is an address's own: ten guesses of a stranger's lock nobody else out.
"""

from __future__ import annotations

import functools
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

# Of each bound the guess that fills it: the tenth latest, or the hundredth.
_FILLING = """
SELECT * FROM (
    SELECT {attempt}, '{here.rule}' AS rule FROM password_attempts attempt
    WHERE account = $1 AND address = $2 AND created_at > $3
    ORDER BY created_at DESC LIMIT 1 OFFSET {here.most} - 1
) here
UNION ALL SELECT * FROM (
    SELECT {attempt}, '{everywhere.rule}' AS rule FROM password_attempts attempt
    WHERE account = $1 AND created_at > $4
    ORDER BY created_at DESC LIMIT 1 OFFSET {everywhere.most} - 1
) everywhere
"""

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
            await self._check(account, address, now)
            await attempt.save(force_create=True)
        return Attempt(attempt.id)

    async def succeeded(self, attempt: Attempt) -> None:
        """It was the right password, or nobody looked: it does not count."""
        await PasswordAttempt.filter(id=attempt.id).delete()

    async def prune(self, *, limit: int) -> int:
        """Delete at most `limit` of those that no bound counts any more."""
        before = self._clock() - FROM_EVERYWHERE.window
        return len(await database.fetch(_OLD, before, limit))

    async def _check(self, account: str, address: str, now: datetime) -> None:
        """
        :raises RateLimited: until the last guess that fills a bound leaves its window;
            of both bounds the longer wait, or whoever obeys it is refused once more.
        """
        rows = await database.fetch(
            _filling(),
            account,
            address,
            now - FROM_ONE_ADDRESS.window,
            now - FROM_EVERYWHERE.window,
        )
        windows = {
            each.rule: each.window for each in (FROM_ONE_ADDRESS, FROM_EVERYWHERE)
        }
        waits: list[tuple[timedelta, str]] = []
        for row in rows:
            filling = database.read(PasswordAttempt, row, "attempt")
            if filling is not None:
                rule = str(row["rule"])
                waits.append((filling.created_at + windows[rule] - now, rule))
        if not waits:
            return
        wait, rule = max(waits)
        raise RateLimited(rule, retry_after=math.ceil(wait.total_seconds()))


@functools.cache
def _filling() -> str:
    return _FILLING.format(
        attempt=database.columns(PasswordAttempt, "attempt"),
        here=FROM_ONE_ADDRESS,
        everywhere=FROM_EVERYWHERE,
    )


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
