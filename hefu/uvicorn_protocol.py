"""
uvicorn's HTTP protocol with the limits that it lacks.

It waits for ever for the rest of a request, takes heads of any size, keeps a
connection whose reader has stopped reading, and does not exit while one is half sent.
Conflicting lengths need nothing here: httptools 0.9 refuses them, which tests hold to.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, ClassVar

import orjson
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from hefu.middleware import SECURITY_HEADERS, new_request_id

# A 16 KiB document by GET is 48 KiB once each of its bytes is percent-encoded.
MOST_HEAD_BYTES = 64 * 1024


class GuardedProtocol(HttpToolsProtocol):
    """One connection: whole requests within ten seconds, or none."""

    seconds: ClassVar[float] = 10.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # A connection that never says a word counts as a request that is never whole.
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._request_is_whole()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._deadline is None and self._is_idle():
            self._await_request()
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MOST_HEAD_BYTES:
            self._refuse(431, f"At most {MOST_HEAD_BYTES} bytes of headers")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._await_request()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._request_is_whole()
        self._in_head = True
        super().on_message_complete()

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
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.seconds, self._too_slow)

    def _request_is_whole(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        self._refuse(408, f"The request must arrive within {self.seconds:g} seconds")

    def _refuse(self, status: int, message: str) -> None:
        """Answers, unless the application already is answering, and hangs up."""
        self._request_is_whole()
        if self.transport.is_closing():
            return
        if self._has_begun() and not self._is_answering():
            self.transport.write(_refusal(status, message))
        self.transport.close()
        # `close` waits for the reader to take what was written.
        self.loop.call_later(1.0, self.transport.abort)

    def _has_begun(self) -> bool:
        """Nobody expects an answer on a connection that has not said a word."""
        return self._head_bytes > 0 or not self._in_head

    def _is_answering(self) -> bool:
        if self._latest is None:
            return False
        latest = self._latest
        begun = latest.response_started and not latest.response_complete
        return begun or bool(self.pipeline)


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
