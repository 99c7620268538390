"""
uvicorn's HTTP protocol with the limits that it lacks.

It waits for ever for the rest of a request, takes heads and trailers of any size and
trailers for headers, keeps a connection whose reader has stopped reading, does not exit
while one is half sent, and loses the body of a request that would like another
protocol. Conflicting lengths need nothing here: httptools 0.9 refuses them, which tests
hold to.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, ClassVar, cast

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from hefu.joined import Joined
from hefu.middleware import SECURITY_HEADERS, new_request_id
from hefu.parameters import MOST_BYTES

# A 16 KiB document by GET is 48 KiB once each of its bytes is percent-encoded.
MOST_HEAD_BYTES = 64 * 1024
# The largest body in chunks of one byte each has five bytes around each, and zeros.
MOST_BYTES_AROUND_BODY = 8 * MOST_BYTES

# What is left out where a request asks for another protocol and is answered in HTTP.
UPGRADES = frozenset({b"upgrade", b"http2-settings"})


class GuardedProtocol(HttpToolsProtocol):
    """One connection: whole requests within ten seconds, or none."""

    seconds: ClassVar[float] = 10.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = True
        # Sizes of chunks, their extensions, and trailers.
        self._bytes_around_body = 0
        # Whether a request has begun and is not whole.
        self._is_partial = False
        # The last request that has come whole.
        self._whole: RequestResponseCycle | None = None
        # Whether nothing is heard any more, and only answers are to be sent.
        self._is_deaf = False
        # Whether the parser has stopped at a head that asks for another protocol.
        self._at_upgrade = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._joined = Joined(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", self._joined))
        # A connection that never says a word counts as a request that is never whole.
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._request_is_whole()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf or self.transport.is_closing():
            return
        if self._in_head:
            self._head_bytes += len(data)
        else:
            self._bytes_around_body += len(data)
        self._unset_keepalive_if_required()
        self._feed(data)
        if self._in_head and self._head_bytes > MOST_HEAD_BYTES:
            self._refuse(431, f"At most {MOST_HEAD_BYTES} bytes of headers")
        elif self._bytes_around_body > MOST_BYTES_AROUND_BODY:
            self._refuse(413, f"At most {MOST_BYTES_AROUND_BODY} bytes around a body")
        elif self._is_partial or self._is_idle():
            # Most requests come whole, and need no timer.
            self._await_request()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._is_partial = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """
        Trailers come here as well, and are dropped: RFC 9110, 6.5.1.

        A proxy in front has seen to it who is named by the headers, and by them alone.
        """
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._check_framing()
        self._at_upgrade = any(name in UPGRADES for name, _ in self.headers) and (
            self.parser.should_upgrade()
        )
        if self._at_upgrade:
            return
        self._in_head = False
        self._head_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._bytes_around_body -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._at_upgrade:
            return
        self._request_is_whole()
        self._in_head = True
        self._bytes_around_body = 0
        self._whole = self._latest
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._joined.flush()
        super().on_response_complete()

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
            # Of a body that came in one piece with its head, nothing was counted.
            self._bytes_around_body = max(self._bytes_around_body, 0)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        except httptools.HttpParserUpgrade as stopped:
            if self._at_upgrade:
                self._stay_with_http(data[stopped.args[0] :])
            else:
                # CONNECT: what follows would be the tunnel's.
                self.transport.close()

    def _check_framing(self) -> None:
        """
        Refuse what a proxy in front may have read otherwise, by raising.

        RFC 9112: 3.2, Host at most once; 6.1, a coding that is not understood, and one
        in HTTP/1.0, whose end is anybody's guess.
        """
        names = [name for name, _ in self.headers]
        codings = [
            value.strip().lower()
            for name, value in self.headers
            if name == b"transfer-encoding"
        ]
        if names.count(b"host") > 1 or (codings and codings != [b"chunked"]):
            raise ValueError("a head that can be read in two ways")
        if codings and self.parser.get_http_version() == "1.0":
            raise ValueError("a transfer coding in HTTP/1.0")

    def _stay_with_http(self, rest: bytes) -> None:
        """
        Answer in HTTP/1.1 what asks for more: RFC 9110, 7.8.

        Java's client asks for HTTP/2 with its first request, body and all, and the
        parser takes all that follows such a head for the other protocol's.
        """
        self._at_upgrade = False
        lines = [b"%s: %s" % each for each in self.headers if each[0] not in UPGRADES]
        version = self.parser.get_http_version().encode()
        first = b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)
        self.parser = httptools.HttpRequestParser(self)
        # As uvicorn does, to answer what was pipelined before a `Connection: close`.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._feed(b"\r\n".join((first, *lines, b"", rest)))

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def shutdown(self) -> None:
        """A half-sent request would hold up the stop as long as its sender likes."""
        if self._deadline is not None:
            self._refuse(503, "The server is stopping")
            return
        super().shutdown()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    @property
    def _latest(self) -> RequestResponseCycle | None:
        """Uvicorn declares it as never None, and begins with None."""
        return self.cycle

    def _is_idle(self) -> bool:
        return self._latest is None or self._latest.response_complete

    def _await_request(self) -> None:
        """From a request's first byte on; more bytes do not buy more time."""
        if self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(self.seconds, self._too_slow)

    def _request_is_whole(self) -> None:
        self._is_partial = False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        self._refuse(408, f"The request must arrive within {self.seconds:g} seconds")

    def _refuse(self, status: int, message: str) -> None:
        """Answers, unless the application has begun to, and hangs up."""
        self._request_is_whole()
        if self.transport.is_closing():
            return
        if self._whole is not None and not self._whole.response_complete:
            self._hang_up_after(self._whole)
            return
        if self._has_begun() and not self._is_answered():
            self.transport.write(_refusal(status, message))
        self.transport.close()
        # `close` waits for the reader to take what was written.
        self.loop.call_later(1.0, self.transport.abort)

    def _hang_up_after(self, last: RequestResponseCycle) -> None:
        """
        Drop what is half sent, but answer what came whole before it.

        A refusal now would be taken for the answer to that.
        """
        self._is_deaf = True
        if self.cycle is not last:
            # It waits for its turn: uvicorn begins none before the last is answered.
            self.pipeline.popleft()
            self.cycle = last
        last.keep_alive = False
        # What nobody has read resets the connection when it is closed, answers and all.
        self.flow.resume_reading()

    def _has_begun(self) -> bool:
        """Nobody expects an answer on a connection that has not said a word."""
        return self._head_bytes > 0 or not self._in_head

    def _is_answered(self) -> bool:
        """Some answers wait for no body: a second one would be the next request's."""
        latest = self._latest
        if latest is None or latest is self._whole:
            return False
        return latest.response_started


def _refusal(status: int, message: str) -> bytes:
    code = "UNAVAILABLE" if status == HTTPStatus.SERVICE_UNAVAILABLE else "BAD_REQUEST"
    error = {"message": message, "extensions": {"code": code}}
    body = orjson.dumps({"errors": [error]})
    headers = (
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
        (b"x-request-id", new_request_id().encode()),
        *SECURITY_HEADERS,
    )
    lines = b"".join(b"%s: %s\r\n" % header for header in headers)
    return STATUS_LINE[status] + lines + b"\r\n" + body
