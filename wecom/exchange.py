"""One request to WeCom and its answer, bounded, and never repeated here."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Generic, TypeVar, cast
from urllib.parse import urlencode

import httpx

from wecom import answers, silence
from wecom.errors import (
    BadAnswer,
    ConnectionLost,
    TimedOut,
    Unavailable,
    UnexpectedStatus,
    Unreachable,
    WecomError,
    refusal,
)

T = TypeVar("T")
U = TypeVar("U", bound=Unavailable)

MAX_ANSWER = 256 * 1024

CONNECT_SHARE = 0.8
"""
Of the time for a call. Shorter than the whole, so that connecting times out by itself:
it is then certain that nothing was sent, and the person may send the same code again.
"""

HEADERS = httpx.Headers({"Accept": "application/json", "Accept-Encoding": "identity"})

Observer = Callable[[str, str, float], None]
"""Told the call, its outcome and its seconds."""


@dataclass(frozen=True, slots=True)
class Endpoint(Generic[T]):
    """
    `call` is its name in metrics and errors, `read` makes sense of its answer.

    `repeats` tells after which failures the same may be asked again, and how often.
    """

    call: str
    path: str
    read: Callable[[answers.Fields], T]
    repeats: Mapping[type[WecomError], int]
    carries_code: bool = False


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """
    `secrets` stand in the request and must not come back in an error.

    `code_seen`: whether WeCom may have seen the login code before this question.

    `sending` is called right before the first byte leaves.
    """

    endpoint: Endpoint[T]
    params: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    code_seen: bool
    json: Mapping[str, str] | None = field(default=None, repr=False)
    timeout: float | None = None
    sending: Callable[[], None] | None = None


class Exchange:
    def __init__(
        self,
        *,
        http: httpx.AsyncClient,
        base_url: str,
        timeout: float,
        observe: Observer | None,
    ) -> None:
        self._http = http
        self._base_url = base_url
        self._patterns: dict[str, httpx.Request] = {}
        self._timeout = timeout
        self._observe = observe or _unobserved

    async def ask(self, question: Question[T]) -> T:
        """
        Raises:
            WecomError: with nothing of the request in it, nor in what it follows.

        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        outcome = "cancelled"
        try:
            answer = await self._answer(question)
            outcome = "ok"
        except WecomError as error:
            outcome = error.outcome
            raise
        finally:
            self._observe(question.endpoint.call, outcome, loop.time() - begun)
        return answer

    async def _answer(self, question: Question[T]) -> T:
        received = await self._received(question)
        if isinstance(received, WecomError):
            raise received
        understood = _understood(received, question)
        if isinstance(understood, BadAnswer):
            raise understood
        return understood

    async def _received(self, question: Question[T]) -> bytes | Unavailable:
        """Returns errors: raised where httpx's is handled, they would drag it along."""
        try:
            async with asyncio.timeout(question.timeout or self._timeout):
                with silence.Silenced():
                    return await self._body(question)
        except (httpx.ConnectTimeout, httpx.PoolTimeout):
            return _error(TimedOut, question, "no connection in time", sent=False)
        except (httpx.ConnectError, httpx.UnsupportedProtocol):
            return _error(Unreachable, question, "no connection", sent=False)
        except (httpx.TimeoutException, TimeoutError):
            return _error(TimedOut, question, "no answer in time")
        except httpx.RemoteProtocolError:
            return _error(BadAnswer, question, "not HTTP")
        except httpx.HTTPError:
            return _error(ConnectionLost, question, "the connection broke")

    async def _body(self, question: Question[T]) -> bytes:
        response = await self._http.send(
            self._request(question), stream=True, auth=None, follow_redirects=False
        )
        try:
            if response.status_code != HTTPStatus.OK:
                status = f"HTTP {response.status_code}"
                raise _error(UnexpectedStatus, question, status)
            # It was asked for plain, and 256 KiB of gzip are 256 MiB of something else.
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise _error(BadAnswer, question, "compressed")
            body = b""
            # As it came: httpx would count and wrap each of them.
            async for chunk in cast("httpx.AsyncByteStream", response.stream):
                body += chunk
                if len(body) > MAX_ANSWER:
                    raise _error(BadAnswer, question, "too long")
        finally:
            await response.aclose()
        return body

    def _request(self, question: Question[T]) -> httpx.Request:
        pattern = self._pattern(question.endpoint)
        # A code is whatever somebody typed: half a surrogate pair must not crash.
        query = urlencode(question.params, errors="replace")
        extensions: dict[str, object] = {
            "timeout": _timeouts(question.timeout or self._timeout),
            # httpcore's word for what is asked for, whatever the URL says.
            "target": b"%b?%b" % (pattern.url.raw_path, query.encode()),
        }
        if question.sending:
            extensions["trace"] = _traced(question.sending)
        if question.json is not None:
            return httpx.Request(
                "POST",
                pattern.url,
                headers=HEADERS,
                json=question.json,
                extensions=extensions,
            )
        return httpx.Request(
            "GET",
            pattern.url,
            headers=pattern.headers,
            stream=pattern.stream,
            extensions=extensions,
        )

    def _pattern(self, endpoint: Endpoint[T]) -> httpx.Request:
        """
        What every GET of the endpoint has in common.

        httpx takes 50 µs to parse a URL and 20 for headers and an empty body: this way
        it does so once per endpoint.
        """
        known = self._patterns.get(endpoint.path)
        if known is None:
            url = self._base_url + endpoint.path
            known = httpx.Request("GET", url, headers=HEADERS)
            self._patterns[endpoint.path] = known
        return known


def _traced(sending: Callable[[], None]) -> Callable[[str, object], Awaitable[None]]:
    """What httpcore calls `trace`: told of each step of a request, by its name."""

    async def trace(step: str, _: object) -> None:
        if step.endswith(".send_request_headers.started"):
            sending()

    return trace


@functools.cache
def _timeouts(seconds: float) -> dict[str, float | None]:
    connect = seconds * CONNECT_SHARE
    return httpx.Timeout(seconds, connect=connect, pool=connect).as_dict()


def _understood(body: bytes, question: Question[T]) -> T | BadAnswer:
    """Returns what is odd: raised here, it would drag along what was read."""
    answer: answers.Fields = {}
    try:
        answer = answers.fields(body)
        errcode = answers.errcode(answer)
        if errcode == 0:
            return question.endpoint.read(answer)
    except answers.Malformed as malformed:
        odd = _error(BadAnswer, question, str(malformed))
        odd.userid, odd.status = answers.of_member(answer)
        return odd
    raise refusal(
        errcode,
        answer.get("errmsg"),
        call=question.endpoint.call,
        code_seen=_code_seen(question),
        secrets=question.secrets,
    )


def _error(
    kind: type[U], question: Question[T], message: str, *, sent: bool = True
) -> U:
    return kind(
        message,
        call=question.endpoint.call,
        code_seen=_code_seen(question, sent=sent),
    )


def _code_seen(question: Question[T], *, sent: bool = True) -> bool:
    return question.code_seen or (question.endpoint.carries_code and sent)


def _unobserved(call: str, outcome: str, seconds: float) -> None:
    pass
