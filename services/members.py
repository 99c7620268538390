"""
What WeCom says of a member, turned into what a login does (binding rules 2).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import wecom
from models import IdentitySource
from services import problems, refusals
from services.clock import Clock
from services.problems import Problems
from services.refusals import LoginRetry, Refusal
from services.sources import secret_place
from services.vault import Vault

# Seconds, of the eight that a whole login may take.
LONGEST = 7.5

# Disabled, not activated, left the corp.
BARRED = {2, 4, 5}

# The app may not read members, or not from here: the profile stays unknown.
UNTOLD = {48002, 48004, 48005, 48006, 60020}

ANOTHER_APPS_CODE = 50001


@dataclass(frozen=True, slots=True)
class Told:
    """A member's profile; None where WeCom would not tell, and why not."""

    profile: wecom.Profile | None
    wecom_error_code: int | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """Whom a code named, and the WeCom app that asked."""

    member: wecom.Member
    agent: wecom.Agent


class Deadline:
    """
    For what one login asks of WeCom, so that it is answered in time.

    The block is for what it cannot do without.

    :raises WecomUnavailable: at the block's end, where it took longer. The code is good
        for another try if WeCom was still being asked for a token.
    """

    def __init__(self) -> None:
        self._code_sent = False
        self._ends_at = asyncio.get_running_loop().time() + LONGEST
        self._timeout = asyncio.timeout_at(self._ends_at)

    def rest(self) -> asyncio.Timeout:
        """For what may fail without harm: its block has the time that is left."""
        return asyncio.timeout_at(self._ends_at)

    def sending(self) -> None:
        """The code leaves now."""
        self._code_sent = True

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, raised, traceback)
        except TimeoutError:
            retry = LoginRetry.SAME_REQUEST
            if self._code_sent:
                retry = LoginRetry.START_AGAIN
            raise refusals.WecomUnavailable("wecom.too_slow", retry=retry) from None


class Members:
    """Asks WeCom who somebody is."""

    def __init__(
        self,
        *,
        client: wecom.Client,
        vault: Vault,
        problems: Problems,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._client = client
        self._vault = vault
        self._problems = problems

    def agent(self, source: IdentitySource) -> wecom.Agent:
        """The WeCom app of `source`, with its secret in the clear."""
        secret = self._vault.open(
            source.secret_sealed, source.secret_key_id, place=secret_place(source.id)
        )
        return wecom.Agent(source.corp_id, source.agent_id, secret)

    async def identify(
        self, source: IdentitySource, code: str, deadline: Deadline
    ) -> Named:
        """
        Whose code it is.

        :param deadline: is told when the code leaves.
        :raises Refusal: by the first table of section 2.
        """
        standing = problems.standing(source, self._clock())
        if standing is not None:
            raise refusals.SourceMisconfigured(
                "wecom.refusal_remembered", wecom_error_code=standing
            )
        agent = self.agent(source)
        try:
            found = await self._client.member_for_code(
                agent, code, sending=deadline.sending
            )
        except wecom.WecomError as error:
            raise await self._refusal(source, error) from None
        if isinstance(found, wecom.Outsider):
            raise refusals.NotAMember("member.outsider")
        return Named(found, agent)

    async def describe(
        self,
        source: IdentitySource,
        named: Named,
        deadline: Deadline,
        *,
        linked: Callable[[], Awaitable[bool]],
    ) -> Told:
        """
        The profile of a member whom a fresh code has named.

        :param deadline: of the whole login; what is left of it is for this.
        :param linked: whether the code vouches for somebody known, who is let in
            without a profile: asked only where there is none.
        :raises Refusal: by the second table of section 2.
        """
        member, agent = named.member, named.agent
        try:
            async with deadline.rest():
                profile = await self._profile(agent, member.userid)
        except TimeoutError:
            return await self._untold(source, None, linked=linked)
        except wecom.WecomError as error:
            return await self._untold(source, error, linked=linked)
        if member.user_ticket is not None:
            try:
                async with deadline.rest():
                    profile = await self._client.completed(
                        agent, profile, member.user_ticket
                    )
            except TimeoutError:
                pass
            except wecom.WecomError as error:
                await self._problems.remember(source, error)
        return Told(profile)

    async def left(self, source: IdentitySource, userid: str) -> Refusal | None:
        """
        The refusal that bars `userid` now; None for a member in good standing.

        :raises wecom.WecomError: WeCom did not say: unreachable, busy, not allowed.
        :raises WecomUnavailable: it spoke of somebody else.
        """
        try:
            await self._profile(self.agent(source), userid)
        except wecom.MemberRefused as error:
            return _barred(error)
        except wecom.Misconfigured as error:
            # Of user/get nothing is held against the source: logins go on without it.
            if error.call == "gettoken":
                await self._problems.remember(source, error)
            raise
        except refusals.MemberNotAllowed as refusal:
            return refusal
        return None

    async def _profile(self, agent: wecom.Agent, userid: str) -> wecom.Profile:
        """
        What WeCom tells of a member in good standing.

        :raises wecom.WecomError: it does not tell, or not so that it is understood.
        :raises WecomUnavailable: it spoke of somebody else.
        :raises MemberNotAllowed: it names a status that bars the member.
        """
        try:
            profile = await self._client.profile(agent, userid)
        except wecom.BadAnswer as odd:
            if odd.call == "user_get":
                _must_not_bar(odd, userid)
            raise
        _must_not_bar(profile, userid)
        return profile

    async def _untold(
        self,
        source: IdentitySource,
        error: wecom.WecomError | None,
        *,
        linked: Callable[[], Awaitable[bool]],
    ) -> Told:
        """
        What becomes of the login.

        :param error: None where WeCom took too long.
        """
        code = error.errcode if isinstance(error, wecom.Refused) else None
        if isinstance(error, wecom.MemberRefused):
            raise _barred(error) from None
        if error is not None and error.call == "gettoken":
            await self._problems.remember(source, error)
        if code in UNTOLD or await linked():
            return Told(None, code)
        raise refusals.WecomUnavailable(
            "profile.unavailable", wecom_error_code=code
        ) from None

    async def _refusal(
        self, source: IdentitySource, error: wecom.WecomError
    ) -> Refusal:
        if not isinstance(error, wecom.Refused):
            return refusals.WecomUnavailable("wecom.unavailable", retry=_retry(error))
        code = error.errcode
        another_apps = code == ANOTHER_APPS_CODE and error.call == "getuserinfo"
        if another_apps or isinstance(error, wecom.CodeRejected):
            return refusals.CodeInvalid("code.rejected", wecom_error_code=code)
        if isinstance(error, wecom.MemberRefused):
            return _barred(error)
        if isinstance(error, wecom.Misconfigured):
            await self._problems.remember(source, error)
            return refusals.SourceMisconfigured(
                "wecom.misconfigured", wecom_error_code=code
            )
        # Twice stale: WeCom has named no time at which the same code would do.
        stale = isinstance(error, wecom.StaleToken)
        retry = LoginRetry.START_AGAIN if stale else _retry(error)
        return refusals.WecomUnavailable(
            "wecom.unavailable", wecom_error_code=code, retry=retry
        )


def _must_not_bar(told: wecom.Profile | wecom.BadAnswer, userid: str) -> None:
    """
    :param told: what user/get tells, whole or not.
    :raises WecomUnavailable: WeCom spoke of somebody else than `userid`.
    :raises MemberNotAllowed: it names a status that bars them.
    """
    if told.userid is not None and told.userid.casefold() != userid.casefold():
        raise refusals.WecomUnavailable("profile.of_another_member")
    if told.status in BARRED:
        raise refusals.MemberNotAllowed("member.barred")


def _barred(error: wecom.MemberRefused) -> Refusal:
    return refusals.MemberNotAllowed("member.refused", wecom_error_code=error.errcode)


def _retry(error: wecom.WecomError) -> LoginRetry:
    return LoginRetry.START_AGAIN if error.code_seen else LoginRetry.SAME_REQUEST
