"""What every answer gets, whoever gives it: a request id, security headers, CORS."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hefu import logs
from hefu.errors import INTERNAL, OnBug, internal, log_bug
from services import language
from services.errors import Unavailable
from services.language import Language

# GraphiQL's editor styles inline and starts its workers from blobs; everything else
# comes from here, and nothing may frame it.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data:; "
    "connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)

NOT_STORED = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Answered:
    """One request that was answered; `path` is the caller's own word."""

    method: str
    path: str
    status: int
    seconds: float


class Drain:
    """Whether this process has been told to stop; readiness asks it."""

    def __init__(self) -> None:
        self.started = False


def draining(scope: Scope) -> bool:
    """Whether the server that took this request is stopping."""
    drain = scope.get("state", {}).get("drain")
    return isinstance(drain, Drain) and drain.started


class Envelope:
    """The outermost layer: nothing is answered without passing through it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        allowed_origins: Collection[str] = (),
        on_answer: Callable[[Answered], None] | None = None,
        on_bug: OnBug | None = None,
    ) -> None:
        self._app = app
        self._cors = Cors(allowed_origins)
        self._on_answer = on_answer
        self._on_bug = on_bug

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_request_id()
        scope.setdefault("state", {})["request_id"] = request_id
        token = logs.request_id.set(request_id)
        try:
            await self._answer(scope, receive, send, request_id)
        finally:
            logs.request_id.reset(token)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, request_id: str
    ) -> None:
        began = time.perf_counter()
        status = 0
        added = ((b"x-request-id", request_id.encode()), *SECURITY_HEADERS)
        cors = self._cors.headers(scope)

        async def wrapped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *added]
                _add_cors(message, cors)
            await send(message)

        try:
            app = self._cors.preflight(scope) or self._app
            await app(scope, receive, wrapped)
        except Exception as error:  # noqa: BLE001  # The last chance to mask it.
            log_bug(error, request_id, on_bug=self._on_bug)
            if status:
                raise ConnectionAborted from None
            await _internal(scope, request_id)(scope, receive, wrapped)
        except asyncio.CancelledError as error:
            if status:
                raise
            if not _is_cancelled():
                # Something within was cut short, and not the request.
                log_bug(error, request_id, on_bug=self._on_bug)
                await _internal(scope, request_id)(scope, receive, wrapped)
            elif draining(scope):
                # The stop has run out of time: whoever still waits is told so.
                await _unavailable(scope)(scope, receive, wrapped)
            else:
                raise
        finally:
            self._tell(scope, status, time.perf_counter() - began)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        if self._on_answer is not None and status:
            self._on_answer(Answered(scope["method"], scope["path"], status, seconds))


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class ConnectionAborted(Exception):
    """The answer had begun: all that is left is to cut it off."""


class Cors:
    """Cross-origin requests, from exactly the origins that the settings name."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = frozenset(allowed)

    def headers(self, scope: Scope) -> dict[str, str]:
        if not self._allowed:
            return {}
        origin = Headers(scope=scope).get("origin")
        if origin not in self._allowed:
            return {"Vary": "Origin"}
        return {
            "Vary": "Origin",
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": "X-Request-Id",
        }

    def preflight(self, scope: Scope) -> ASGIApp | None:
        if scope["method"] != "OPTIONS":
            return None
        headers = Headers(scope=scope)
        if "access-control-request-method" not in headers:
            return None
        if headers.get("origin") not in self._allowed:
            return Response(status_code=403, headers=NOT_STORED)
        return Response(
            status_code=204,
            headers={
                **NOT_STORED,
                "Access-Control-Allow-Methods": "GET, POST",
                "Access-Control-Allow-Headers": (
                    "Authorization, Content-Type, Accept-Language"
                ),
                "Access-Control-Max-Age": "600",
            },
        )


def new_request_id() -> str:
    """32 hexadecimal digits that sort by time; a caller's own id is never taken."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


def _add_cors(message: Message, cors: dict[str, str]) -> None:
    if not cors:
        return
    headers = MutableHeaders(raw=message["headers"])
    for name, value in cors.items():
        if name == "Vary":
            headers.add_vary_header(value)
        else:
            headers[name] = value


def _internal(scope: Scope, request_id: str) -> Response:
    message = INTERNAL(_language(scope))
    entry = {"message": message, "extensions": internal(request_id)}
    return JSONResponse({"errors": [entry]}, 500, NOT_STORED)


def _unavailable(scope: Scope) -> Response:
    message = Unavailable().message(_language(scope))
    entry = {"message": message, "extensions": {"code": Unavailable.code}}
    return JSONResponse({"errors": [entry]}, 503, NOT_STORED)


def _language(scope: Scope) -> Language:
    return language.preferred(Headers(scope=scope).get("accept-language"))
