"""WeCom's server API, as far as a login needs it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import httpx

from wecom import answers, silence
from wecom.agent import Agent
from wecom.answers import AgentInfo, Detail, Grant, Member, Outsider, Profile
from wecom.errors import (
    Busy,
    ConnectionLost,
    StaleToken,
    Unreachable,
    WecomError,
)
from wecom.exchange import Endpoint, Exchange, Observer, Question
from wecom.tokens import StoredToken, Tokens, TokenStore
from wecom.transport import Transport

T = TypeVar("T")

MAX_REQUESTS = 3
"""To one endpoint, for one question, beside the one that a stale token costs."""

STALE_AT_MOST = 2
"""Tokens for one question; one more where another process had stored the second."""

BACKOFF = (0.2, 0.5)
"""Seconds after the first and the second busy answer, give or take a quarter."""

DETAIL_TIMEOUT = 2.0
"""Seconds. No login waits long for what it can do without."""

# A broken connection leaves open whether the request arrived: what only reads may be
# asked again, a code may not.
SPENDING: Mapping[type[WecomError], int] = {Busy: 2, Unreachable: 1, StaleToken: 1}
READING: Mapping[type[WecomError], int] = {**SPENDING, ConnectionLost: 1}
GRANTING: Mapping[type[WecomError], int] = {Busy: 2, Unreachable: 1, ConnectionLost: 1}

GETTOKEN = Endpoint("gettoken", "/cgi-bin/gettoken", answers.grant, GRANTING)
# Not auth/getuserinfo: this is the one that WeCom's pages for mobile apps document.
# And never one after the other, as the first would spend the code.
GETUSERINFO = Endpoint(
    "getuserinfo",
    "/cgi-bin/user/getuserinfo",
    answers.member,
    SPENDING,
    carries_code=True,
)
USER_GET = Endpoint("user_get", "/cgi-bin/user/get", answers.profile, READING)
AGENT_GET = Endpoint("agent_get", "/cgi-bin/agent/get", answers.agent_info, READING)
GETUSERDETAIL = Endpoint(
    "getuserdetail", "/cgi-bin/auth/getuserdetail", answers.detail, {StaleToken: 1}
)


class Client:
    """
    One for a process and a WeCom (the public one, or a private deployment), for any
    number of agents.

    Each request is cut after `timeout` seconds, connecting included, however its bytes
    drip; what a whole login may take is for the caller to say, who may cancel it at any
    moment. `http` replaces the connections, and remains the caller's to close; its
    transport has to know httpcore's `trace`, as httpx's own does.
    """

    def __init__(
        self,
        *,
        base_url: str,
        timeout: float = 5.0,
        store: TokenStore | None = None,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        http: httpx.AsyncClient | None = None,
        observe: Observer | None = None,
    ) -> None:
        silence.install()
        base_url = base_url.rstrip("/")
        self._clock = clock
        self._sleep = sleep
        self._http = http or Direct(Transport())
        self._closes_http = http is None
        self._exchange = Exchange(
            http=self._http,
            base_url=base_url,
            timeout=timeout,
            observe=observe,
        )
        self._tokens = Tokens(
            base_url=base_url, fetch=self._granted, store=store, clock=clock
        )

    async def member_for_code(
        self, agent: Agent, code: str, *, sending: Callable[[], None] | None = None
    ) -> Member | Outsider:
        """
        Spends the code.

        `sending` is called when there is a connection and the code leaves on it: who
        gives up on the call until then knows that WeCom has not seen it.

        Raises:
            WecomError: `code_seen` tells whether the same code is worth another try.

        """
        return await self._ask(
            agent, GETUSERINFO, {"code": code}, secrets=(code,), sending=sending
        )

    async def profile(self, agent: Agent, userid: str) -> Profile:
        """
        What WeCom tells of a member: since 2022 hardly more than a name.

        Raises:
            WecomError: as everywhere.

        """
        return await self._ask(agent, USER_GET, {"userid": userid}, code_seen=True)

    async def completed(
        self, agent: Agent, profile: Profile, user_ticket: str
    ) -> Profile:
        """
        With what the person agreed to tell, where that can be had.

        Raises:
            WecomError: gettoken's, which tells of the agent and not of the ticket.

        """
        try:
            detail = await self._detail(agent, user_ticket)
        except WecomError as error:
            if error.call == GETTOKEN.call:
                raise
            return profile
        return _completed(profile, detail)

    async def agent_info(self, agent: Agent) -> AgentInfo:
        """
        Raises:
            Misconfigured: 301002, among others: the secret is another agent's.
            WecomError: as everywhere.

        """
        return await self._ask(agent, AGENT_GET, {"agentid": agent.agent_id})

    async def fresh_token(self, agent: Agent) -> None:
        """
        Asks for a token whatever is kept: so a changed secret is known to be right.

        Raises:
            WecomError: as gettoken was answered.

        """
        await self._tokens.fetch_anew(agent)

    async def aclose(self) -> None:
        await self._tokens.aclose()
        if self._closes_http:
            await self._http.aclose()

    async def _detail(self, agent: Agent, user_ticket: str) -> Detail:
        return await self._ask(
            agent,
            GETUSERDETAIL,
            {},
            json={"user_ticket": user_ticket},
            secrets=(user_ticket,),
            within=DETAIL_TIMEOUT,
            code_seen=True,
        )

    async def _ask(
        self,
        agent: Agent,
        endpoint: Endpoint[T],
        params: Mapping[str, str],
        *,
        json: Mapping[str, str] | None = None,
        secrets: tuple[str, ...] = (),
        within: float | None = None,
        code_seen: bool = False,
        sending: Callable[[], None] | None = None,
    ) -> T:
        failures: list[WecomError] = []
        while True:
            token = await self._token(agent, code_seen=code_seen)
            question = Question(
                endpoint,
                {"access_token": token.value, **params},
                secrets=(agent.secret, token.value, *secrets),
                code_seen=code_seen,
                json=json,
                timeout=within,
                sending=sending,
            )
            try:
                return await self._exchange.ask(question)
            except WecomError as error:
                failures.append(error)
            code_seen = failures[-1].code_seen
            if isinstance(failures[-1], StaleToken):
                await self._tokens.discard(agent, token)
                borrowed = self._tokens.is_borrowed(agent, token)
                if borrowed and _stale(failures) == STALE_AT_MOST:
                    continue  # What came in place of the first one was no fresher.
            await self._pause(endpoint, failures)

    async def _token(self, agent: Agent, *, code_seen: bool) -> StoredToken:
        token = await self._tokens.get(agent)
        if isinstance(token, WecomError):
            raise token.again(code_seen=code_seen)
        return token

    async def _granted(self, agent: Agent) -> StoredToken:
        failures: list[WecomError] = []
        question = Question(
            GETTOKEN,
            {"corpid": agent.corp_id, "corpsecret": agent.secret},
            secrets=(agent.secret,),
            code_seen=False,
        )
        while True:
            asked_at = self._clock()
            try:
                grant = await self._exchange.ask(question)
            except WecomError as error:
                failures.append(error)
            else:
                return _expiring(grant, asked_at)
            await self._pause(GETTOKEN, failures)

    async def _pause(self, endpoint: Endpoint[T], failures: list[WecomError]) -> None:
        """
        Waits as long as the last failure wants it.

        Raises:
            WecomError: the last failure, where the same is not to be asked again.

        """
        last = failures[-1]
        alike = sum(type(failure) is type(last) for failure in failures)
        allowed = endpoint.repeats.get(type(last), 0)
        if alike > allowed or len(failures) - _stale(failures) >= MAX_REQUESTS:
            raise last
        if isinstance(last, Busy):
            jitter = random.uniform(0.75, 1.25)  # noqa: S311 - not for secrecy.
            await self._sleep(BACKOFF[alike - 1] * jitter)


def _stale(failures: list[WecomError]) -> int:
    return sum(isinstance(failure, StaleToken) for failure in failures)


class Direct(httpx.AsyncClient):
    """
    httpx's client without what no call of ours wants: its `send` looks for cookies,
    redirects, hooks and a way to authenticate, and keeps what one corp's answer sets as
    a cookie for another's call. Half of a call's time; the figures are in
    docs/decisions/0002-wecom-transport.md.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        super().__init__(transport=transport, trust_env=False)
        self._direct = transport

    async def send(self, request: httpx.Request, **_: Any) -> httpx.Response:
        return await self._direct.handle_async_request(request)


def _expiring(grant: Grant, asked_at: datetime) -> StoredToken:
    return StoredToken(
        grant.access_token, asked_at + timedelta(seconds=grant.expires_in)
    )


def _completed(profile: Profile, detail: Detail) -> Profile:
    """Only with what user/get left open, and only if both speak of the same member."""
    if detail.userid.casefold() != profile.userid.casefold():
        return profile
    return replace(
        profile,
        email=profile.email or detail.email,
        biz_mail=profile.biz_mail or detail.biz_mail,
        mobile=profile.mobile or detail.mobile,
        avatar=profile.avatar or detail.avatar,
    )
