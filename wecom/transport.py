"""
HTTP/1.1 for httpx, on asyncio and httptools.

Why not httpx's own: a code is good for one request, so it must be certain whether a
request left the house; and each login pays three of them. The figures are in
docs/decisions/0002-wecom-transport.md.

Nothing here repeats a request, follows a redirect, keeps a cookie, decompresses, reads
a proxy from the environment or writes to a log.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import cast

import certifi
import httptools
import httpx

MAX_AROUND_BODY = 64 * 1024
"""Bytes for headers, chunk sizes and trailers: httptools would take them endlessly."""

MAX_UNREAD = 64 * 1024
"""Bytes of a body that wait to be read before the other side has to."""

SENDING = "http11.send_request_headers.started"
"""The one step of a request that the extension `trace`, httpcore's, is told of here."""

Origin = tuple[str, str, int]


class Transport(httpx.AsyncBaseTransport):
    """
    A pool of connections.

    Raises `httpx.PoolTimeout`, `ConnectTimeout` or `ConnectError` where no byte of the
    request was sent, `ReadError` or `RemoteProtocolError` where some may have been.

    Of httpx's timeouts it keeps `connect`, in seconds, over waiting for a connection
    and opening it together. The rest is for the caller to bound: a timeout for each
    read would begin anew with every byte that drips.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        max_connections: int = 100,
        max_idle_seconds: float = 15.0,
    ) -> None:
        self._tls = tls or ssl.create_default_context(cafile=certifi.where())
        self._max_idle_seconds = max_idle_seconds
        self._slots = asyncio.Semaphore(max_connections)
        self._idle: defaultdict[Origin, list[Connection]] = defaultdict(list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        connection = await self._connection(request)
        try:
            await connection.send(request)
            head = await connection.head()
        except BaseException:
            self.take_back(connection)
            raise
        return httpx.Response(
            head.status,
            headers=head.headers,
            stream=Body(connection, self),
            request=request,
        )

    async def aclose(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    def take_back(self, connection: Connection) -> None:
        """Never waits: it also runs while a cancelled login is being unwound."""
        self._slots.release()
        if not connection.rest():
            connection.close()
            return
        connection.used_at = asyncio.get_running_loop().time()
        self._idle[connection.origin].append(connection)

    async def _connection(self, request: httpx.Request) -> Connection:
        """Takes a slot, which `take_back` returns."""
        if not self._slots.locked() and (kept := self._reused(_origin(request.url))):
            await self._slots.acquire()  # At once.
            return kept
        failure: type[httpx.TransportError] = httpx.PoolTimeout
        try:
            async with asyncio.timeout(_connect_timeout(request)):
                await self._slots.acquire()
                failure = httpx.ConnectTimeout
                return await self._reused_or_opened(_origin(request.url))
        except TimeoutError:
            pass
        except (OSError, UnicodeError):  # TLS's errors are OSErrors, IDNA's are not.
            failure = httpx.ConnectError
        raise failure("nothing was sent", request=request)

    async def _reused_or_opened(self, origin: Origin) -> Connection:
        try:
            return self._reused(origin) or await self._opened(origin)
        except BaseException:
            self._slots.release()
            raise

    def _reused(self, origin: Origin) -> Connection | None:
        idle = self._idle[origin]
        horizon = asyncio.get_running_loop().time() - self._max_idle_seconds
        while idle:
            connection = idle.pop()
            if connection.used_at > horizon and connection.is_quiet():
                return connection
            connection.close()
        return None

    async def _opened(self, origin: Origin) -> Connection:
        scheme, host, port = origin
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(origin),
            host,
            port,
            ssl=self._tls if scheme == "https" else None,
        )
        return connection


class Body(httpx.AsyncByteStream):
    """The body as it comes in. Closed before its end, it takes the connection along."""

    def __init__(self, connection: Connection, transport: Transport) -> None:
        self._connection: Connection | None = connection
        self._transport = transport

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._connection and (chunk := await self._connection.body()):
            yield chunk

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            self._transport.take_back(connection)


class Connection(asyncio.Protocol):
    """Carries one request at a time. What comes in unasked makes it unfit for more."""

    _transport: asyncio.Transport

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.used_at = 0.0
        self._answer: Answer | None = None
        self._failure: httpx.TransportError | None = None
        self._news = asyncio.Event()

    async def send(self, request: httpx.Request) -> None:
        self._answer = Answer()
        target: bytes = request.extensions.get("target") or request.url.raw_path
        lines = [b"%b %b HTTP/1.1" % (request.method.encode(), target)]
        lines += [b"%b: %b" % header for header in request.headers.raw]
        message = b"\r\n".join([*lines, b"", await request.aread()])
        if trace := request.extensions.get("trace"):
            await trace(SENDING, {"request": request})
        self._transport.write(message)

    async def head(self) -> Answer:
        answer = self._answer = self._answer or Answer()
        while not answer.has_head:
            await self._more()
        return answer

    async def body(self) -> bytes:
        """What has come in, and nothing at the end."""
        answer = await self.head()
        while not (answer.body or answer.is_whole):
            await self._more()
        body, answer.body = answer.body, b""
        return body

    def rest(self) -> bool:
        """Whether it may be kept for another request."""
        answer, self._answer = self._answer, None
        return bool(answer and answer.leaves_connection_open and self._is_sound())

    def is_quiet(self) -> bool:
        """Whether nothing came in while it rested."""
        if not self._is_sound():
            return False
        # The loop may not have noticed the other side's farewell yet, so the socket is
        # asked: a code that is sent on a dying connection counts as spent.
        waiting = select.poll()
        waiting.register(self._transport.get_extra_info("socket"), select.POLLIN)
        return not waiting.poll(0)

    def close(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self._failure = httpx.RemoteProtocolError("it spoke unasked")
            return
        try:
            self._answer.feed(data)
        except httpx.RemoteProtocolError as error:
            self._failure = error
        if len(self._answer.body) > MAX_UNREAD:
            self._transport.pause_reading()
        self._news.set()

    def eof_received(self) -> None:
        if self._answer:
            self._answer.end_of_stream()

    def connection_lost(self, exc: Exception | None) -> None:
        self._failure = self._failure or httpx.ReadError("the connection broke")
        self._news.set()

    async def _more(self) -> None:
        if self._failure:
            raise self._failure
        self._news.clear()
        self._transport.resume_reading()
        await self._news.wait()

    def _is_sound(self) -> bool:
        return not (self._failure or self._transport.is_closing())


class Answer:
    """Collects what httptools finds, which names the methods `on_…`."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.has_head = False
        self.is_whole = False
        self.leaves_connection_open = False
        self._around_body = 0
        self._is_interim = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        self._around_body += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._around_body = MAX_AROUND_BODY + 1
        if self._around_body > MAX_AROUND_BODY:
            raise httpx.RemoteProtocolError("this is no HTTP answer, or a wasteful one")

    def end_of_stream(self) -> None:
        """In HTTP/1.0 a body may go on until the connection ends."""
        names = {name.lower() for name, _ in self.headers}
        if self.has_head and not names & {b"content-length", b"transfer-encoding"}:
            self.is_whole = True

    def on_message_begin(self) -> None:
        # Nothing was asked after the one answer, so this one would answer the next.
        self.leaves_connection_open = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.has_head:
            return
        self.status = self._parser.get_status_code()
        # RFC 9110, 15.2: the answer is yet to come. A proxy may say so many times.
        self._is_interim = self.status in range(100, 200)
        if self._is_interim:
            self.headers.clear()
        else:
            self.has_head = True

    def on_body(self, body: bytes) -> None:
        if not self.is_whole:
            self.body += body
            self._around_body -= len(body)

    def on_message_complete(self) -> None:
        if self._is_interim:
            return
        self.leaves_connection_open = (
            not self.is_whole and self._parser.should_keep_alive()
        )
        self.is_whole = True


def _origin(url: httpx.URL) -> Origin:
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


def _connect_timeout(request: httpx.Request) -> float | None:
    timeouts: dict[str, float | None] = request.extensions.get("timeout", {})
    return timeouts.get("connect")
