"""
Codes and states serve once: reserved by their digests before WeCom is asked.

Of many simultaneous uses one goes through, whatever process it reaches: the primary key
decides. The very same request is answered again for a while, since mobile networks lose
answers; what makes it the same is the verifier, which nobody but the device knows.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from models import (
    Progress,
    Session,
    SpentCode,
    SpentState,
    crowds,
    database,
    digests,
    rows,
    together,
)
from models.crowds import Crowd
from models.together import Write, insert
from services import states
from services.clock import Clock
from services.refusals import CodeInvalid, StateInvalid

# A code dies at WeCom after five minutes; a day leaves no doubt.
CODES_KEPT = timedelta(days=1)
STATES_KEPT = states.LIFETIME + states.LEEWAY + timedelta(minutes=5)

ANSWERED_AGAIN = timedelta(seconds=60)

# Seconds. A login takes at most eight.
LONGEST_WAIT = 8.5
# After that nobody is at it any more: a login's time, its wait for the database, and
# two servers' clocks as far apart as `hefu check` lets them be.
ABANDONED = timedelta(seconds=20)
POLL = 0.05


# One table after the other, and each in the order of its digests: two processes that
# want the same codes or states do not wait for one another.
_RESERVE = f"""
WITH codes AS (
    INSERT INTO spent_codes
        (digest, request_digest, progress, created_at, expires_at)
    SELECT digest, request_digest, 'PENDING', $3, $4
    FROM unnest($1::text[], $2::text[]) AS asked (digest, request_digest)
    ORDER BY digest
), states AS (
    INSERT INTO spent_states (digest, expires_at)
    SELECT digest, $6 FROM unnest($5::text[]) AS asked (digest) ORDER BY digest
)
SELECT {crowds.BRIEFLY}
"""

_SUCCEED = """
UPDATE spent_codes SET progress = 'SUCCEEDED', session_id = $1, key_id = $2,
    finished_at = $3
WHERE digest = $4 AND EXISTS (SELECT 1 FROM apps WHERE id = $5 AND enabled)
"""


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request presents, as digests."""

    code: str
    state: str | None
    request: str
    repeatable: bool

    @classmethod
    def of(
        cls,
        app_id: uuid.UUID,
        source_id: uuid.UUID,
        code: str,
        state: str | None,
        verifier: str | None,
    ) -> Presented:
        return cls(
            code=digests.of("code", str(source_id), code),
            state=digests.of("state", state) if state is not None else None,
            request=digests.of(
                "request",
                str(app_id),
                str(source_id),
                code,
                state or "",
                verifier or "",
            ),
            # An empty one is no secret: anybody could send it with a caught code.
            repeatable=bool(verifier),
        )


@dataclass(frozen=True, slots=True)
class Answered:
    """The very same request succeeded a moment ago, with this session."""

    session_id: uuid.UUID
    key_id: uuid.UUID


class Reservations:
    """Who may use a code and a state: the first to ask."""

    def __init__(
        self, *, clock: Clock, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._crowd = Crowd(self._write_all, self._write)

    async def reserve(self, presented: Presented) -> Answered | None:
        """
        Reserve the code and the state, or learn what the same request was answered.

        The same request, still in flight, is waited for.

        :raises StateInvalid: the state was spent.
        :raises CodeInvalid: the code was presented to this source before.
        """
        deadline = asyncio.get_running_loop().time() + LONGEST_WAIT
        while not await self._reserved(presented):
            row = await SpentCode.get_or_none(digest=presented.code)
            same = row is not None and row.request_digest == presented.request
            if row is None or not same or not presented.repeatable:
                await self._refuse(presented)
                continue
            if row.progress is Progress.SUCCEEDED:
                return await self._again(row, presented)
            waited = asyncio.get_running_loop().time() > deadline
            # Its server was killed.
            abandoned = self._clock() - row.created_at > ABANDONED
            if row.progress is Progress.SPENT or waited or abandoned:
                await self._refuse(presented)
            await self._sleep(POLL)
        return None

    def success(
        self, presented: Presented, session: Session, key_id: uuid.UUID
    ) -> Write:
        """
        As `succeed`, to be written with the session.

        Untouched where its app was disabled or deleted while WeCom was asked: whoever
        did that has ended the sessions that there were.
        """
        now = self._clock()
        values = session.id, key_id, now, presented.code, session.app_id
        return Write(_SUCCEED, values, needed=True)

    async def succeed(
        self, presented: Presented, session_id: uuid.UUID, key_id: uuid.UUID
    ) -> None:
        """
        The login succeeded: part of the transaction that opens its session.

        :raises CodeInvalid: the reservation is gone, as after a failover to a standby
            that had not heard of it.
        """
        updated = await SpentCode.filter(digest=presented.code).update(
            progress=Progress.SUCCEEDED,
            session_id=session_id,
            key_id=key_id,
            finished_at=self._clock(),
        )
        if not updated:
            raise CodeInvalid("code.reservation_lost")

    async def spend(self, presented: Presented) -> None:
        """The login was refused, or asks to bind, for good."""
        await SpentCode.filter(digest=presented.code, progress=Progress.PENDING).update(
            progress=Progress.SPENT
        )

    async def give_back(self, presented: Presented) -> None:
        """The very same request may work: exactly where a refusal says so."""
        async with database.transaction():
            await SpentCode.filter(digest=presented.code).delete()
            if presented.state is not None:
                await SpentState.filter(digest=presented.state).delete()

    async def _reserved(self, presented: Presented) -> bool:
        """Code and state, both or neither."""
        try:
            if database.dialect() == "sqlite":
                await self._write(presented)
            else:
                await self._crowd.do(presented, presented.code)
        except database.Taken:
            return False
        return True

    async def _write_all(self, asked: Sequence[Presented]) -> None:
        """All of them or none, in one statement of PostgreSQL's."""
        now = self._clock()
        await database.fetch_rows(
            _RESERVE,
            [each.code for each in asked],
            [each.request for each in asked],
            now,
            now + CODES_KEPT,
            [each.state for each in asked if each.state is not None],
            now + STATES_KEPT,
        )

    async def _write(self, presented: Presented) -> None:
        now = self._clock()
        code = rows.new(
            SpentCode,
            digest=presented.code,
            request_digest=presented.request,
            progress=Progress.PENDING,
            created_at=now,
            expires_at=now + CODES_KEPT,
        )
        writes = [insert(code)]
        if presented.state is not None:
            expires_at = now + STATES_KEPT
            state = rows.new(SpentState, digest=presented.state, expires_at=expires_at)
            writes.append(insert(state))
        await together.write(*writes)

    async def _refuse(self, presented: Presented) -> None:
        state = presented.state
        if state is not None and await SpentState.filter(digest=state).exists():
            raise StateInvalid("state.spent")
        if await SpentCode.filter(digest=presented.code).exists():
            raise CodeInvalid("code.presented_before")
        # Given back between our attempt and this look: ask for it once more.

    async def _again(self, row: SpentCode, presented: Presented) -> Answered:
        finished_at, now = row.finished_at, self._clock()
        if finished_at is None or now - finished_at > ANSWERED_AGAIN:
            await self._refuse(presented)
        if row.session_id is None or row.key_id is None:
            raise CodeInvalid("code.presented_before")
        return Answered(row.session_id, row.key_id)
