"""
Whether a source's settings work, asked of WeCom itself.

It must not become a way to make trouble with WeCom: one test of a source runs at a
time, ten in a minute, and what a test found to be a wrong secret is not sent by another
within a minute. What a login found is: whoever has mended it in WeCom's console is to
see that it works, and a passing test lets logins ask again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

import wecom
from models import IdentitySource, Role, database, digests, ids
from services import linking, problems
from services.audit import Audit
from services.callers import Caller
from services.clock import Clock
from services.connection_checks import Answers, Check, Reading, Status, Unasked
from services.errors import InputErrorCode, rejected
from services.forms import NOT_FOUND, Form
from services.language import Language, Text
from services.members import Members
from services.problems import Problems
from services.profiles import Profile
from services.vault import CannotOpen

T = TypeVar("T")

# Seconds for one question, repetitions included. There are three.
PATIENCE = 8

# A test whose process died stands in the way of the next one for so long.
CLAIMED = timedelta(seconds=30)

# What WeCom says to a guess at a secret, and blocks an address for.
GUESSED_WRONG = frozenset({40001, 40013, 40091})

MOST = 10
WITHIN = timedelta(minutes=1)

UNDER_WAY = Text(
    "A test of this source is under way. Please wait for it.",
    "该身份源正在测试中，请等待其完成。",
)
TOO_OFTEN = Text(
    "This source was tested {most} times within a minute. Please wait a moment.",
    "该身份源一分钟内已测试 {most} 次，请稍候。",
)

_CLAIM = """
INSERT INTO rate_counters (key, count, expires_at) VALUES ($1, 1, $2)
ON CONFLICT (key) DO UPDATE SET expires_at = excluded.expires_at
WHERE rate_counters.expires_at <= $3 RETURNING key
"""
_WAS_REFUSED = "SELECT 1 AS found FROM rate_counters WHERE key = $1 AND expires_at > $2"
_NOTE_REFUSED = """
INSERT INTO rate_counters (key, count, expires_at) VALUES ($1, 1, $2)
ON CONFLICT (key) DO UPDATE SET expires_at = excluded.expires_at RETURNING key
"""
_RELEASE = "DELETE FROM rate_counters WHERE key = $1 AND expires_at = $2 RETURNING key"
_COUNT = """
INSERT INTO rate_counters (key, count, expires_at) VALUES ($1, 1, $2)
ON CONFLICT (key) DO UPDATE SET
    count = CASE WHEN rate_counters.expires_at <= $3
        THEN 1 ELSE rate_counters.count + 1 END,
    expires_at = CASE WHEN rate_counters.expires_at <= $3
        THEN excluded.expires_at ELSE rate_counters.expires_at END
RETURNING count
"""


@dataclass(frozen=True, slots=True)
class Report:
    """Every check once, in the order of `ConnectionCheckName`."""

    checks: list[Check]

    @property
    def ok(self) -> bool:
        """Whether nothing failed: what was skipped, or looks odd, does not count."""
        return all(check.status is not Status.FAIL for check in self.checks)

    @property
    def wecom_error_code(self) -> int | None:
        """The first of them."""
        codes = (check.wecom_error_code for check in self.checks)
        return next((code for code in codes if code is not None), None)


class ConnectionTest:
    """Asks WeCom for a token, for the app, and for a member if one is named."""

    def __init__(
        self,
        *,
        client: wecom.Client,
        members: Members,
        problems: Problems,
        audit: Audit,
        clock: Clock,
    ) -> None:
        self._client = client
        self._members = members
        self._problems = problems
        self._audit = audit
        self._clock = clock

    async def run(
        self, caller: Caller, id: str, *, wecom_user_id: str | None = None
    ) -> tuple[Report, IdentitySource]:
        """
        Test a source, enabled or not.

        :param wecom_user_id: a member to read.
        :returns: the report, and the source as it is afterwards.
        :raises InputRejected: NOT_FOUND, RATE_LIMITED, or what is wrong.
        """
        caller.require(Role.ADMIN)
        form = Form()
        userid = form.optional_line(
            "wecomUserId",
            wecom_user_id,
            pattern=Profile.USERID,
            otherwise=linking.USERID,
        )
        key = ids.read(ids.SOURCE, id)
        if not (key and await IdentitySource.exists(id=key)):
            form.refuse("id", InputErrorCode.NOT_FOUND, NOT_FOUND)
        form.check()
        async with self._alone(id):
            # Read here: what the test before has found out counts for this one.
            source = await IdentitySource.get_or_none(id=key)
            if source is None:
                raise rejected("id", InputErrorCode.NOT_FOUND, NOT_FOUND)
            report = await self.report(
                source, wecom_user_id=userid, language=caller.origin.language
            )
        await self._audit.record(
            caller,
            "identity_source.tested",
            subject=id,
            identity_source_id=source.id,
            corp_id=source.corp_id,
            wecom_error_code=report.wecom_error_code,
        )
        return report, await IdentitySource.get_or_none(id=source.id) or source

    async def report(
        self,
        source: IdentitySource,
        *,
        wecom_user_id: str | None = None,
        language: Language = Language.EN,
    ) -> Report:
        """What `run` says, for whoever has a shell on this machine."""
        answers = await self._answers(source, wecom_user_id)
        for refusal in answers.refusals:
            await self._problems.remember(source, refusal)
        if _is_a_wrong_guess(answers.token):
            until = self._clock() + problems.REMEMBERED
            await database.fetch(_NOTE_REFUSED, _refused_key(source), until)
        if answers.token is None and answers.trusts_address:
            await self._told_of_agent(source, answers.agent)
        return Report(Reading(source, answers, language).checks())

    async def _told_of_agent(
        self,
        source: IdentitySource,
        agent: wecom.AgentInfo | wecom.WecomError | Unasked,
    ) -> None:
        """Where the secret is right, the agent alone may still be refused."""
        if isinstance(agent, wecom.Misconfigured):
            await self._problems.show(source, agent)
            return
        await self._problems.clear(source)

    async def _answers(
        self, source: IdentitySource, wecom_user_id: str | None
    ) -> Answers:
        if await self._was_refused(source):
            return Answers(Unasked.REFUSED_BEFORE)
        try:
            agent = self._members.agent(source)
        except CannotOpen:
            return Answers(Unasked.SECRET_LOST)
        token = await _answer(self._client.fresh_token(agent))
        if token is not None:
            return Answers(token)
        info = await _answer(self._client.agent_info(agent))
        answers = Answers(None, info)
        if wecom_user_id is None:
            return replace(answers, member=Unasked.NO_MEMBER)
        if answers.address_refused:
            return answers
        profile = await _answer(self._client.profile(agent, wecom_user_id))
        return replace(answers, member=profile)

    async def _was_refused(self, source: IdentitySource) -> bool:
        """Whether these very settings were a wrong guess of another test's."""
        now = self._clock()
        if problems.standing(source, now) not in GUESSED_WRONG:
            return False
        return bool(await database.fetch(_WAS_REFUSED, _refused_key(source), now))

    @asynccontextmanager
    async def _alone(self, id: str) -> AsyncGenerator[None]:
        """
        One test of a source at a time, over all processes.

        Twenty at once would send a wrong secret twenty times, before any of them could
        remember that it is wrong.

        :raises InputRejected: RATE_LIMITED.
        """
        now = self._clock()
        claim = digests.of("connection test under way", id)
        until = now + CLAIMED
        if not await database.fetch(_CLAIM, claim, until, now):
            raise rejected("id", InputErrorCode.RATE_LIMITED, UNDER_WAY)
        try:
            await self._count(id)
            yield
        finally:
            await database.fetch(_RELEASE, claim, until)

    async def _count(self, id: str) -> None:
        now = self._clock()
        key = digests.of("connection tests", id)
        row = await database.fetch_one(_COUNT, key, now + WITHIN, now)
        if row and row["count"] > MOST:
            raise rejected("id", InputErrorCode.RATE_LIMITED, TOO_OFTEN, most=MOST)


def _is_a_wrong_guess(answer: wecom.WecomError | Unasked | None) -> bool:
    return isinstance(answer, wecom.Refused) and answer.errcode in GUESSED_WRONG


def _refused_key(source: IdentitySource) -> str:
    settings = str(source.id), str(source.settings_version)
    return digests.of("connection test refused", *settings)


async def _answer(question: Awaitable[T]) -> T | wecom.WecomError:
    try:
        async with asyncio.timeout(PATIENCE):
            return await question
    except wecom.WecomError as error:
        return error
    except TimeoutError:
        return wecom.TimedOut("no answer in time", call="test", code_seen=False)
