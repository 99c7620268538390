"""
The sandbox: WeCom's server API, a page that plays the phone, and switches for both.

For loopback only: whoever reaches it logs in as anybody.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import parse_qsl

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from wecom.sandbox import examples
from wecom.sandbox.calls import CALLS, Asked, Fields
from wecom.sandbox.control import Control
from wecom.sandbox.faults import AFTER, BEFORE, Exchange, Fault
from wecom.sandbox.world import Corp, Refusal, World

PAGES = Path(__file__).parent / "phone"

# Nothing but what is served here: the page works without a network, and asks nobody.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Sandbox:
    """An ASGI application, with its state open to whoever tests with it in-process."""

    def __init__(
        self,
        *,
        corps: Callable[[], Iterable[Corp]],
        clock: Callable[[], float],
        ban_after: int | None,
    ) -> None:
        self._corps = corps
        self._clock = clock
        self._ban_after = ban_after
        self.reset()
        self._endpoints = {path: (name, call) for name, (path, call) in CALLS.items()}
        self._pages = Starlette(routes=[*Control(self).routes, *_pages()])

    def reset(self) -> None:
        self.faults: list[Fault] = []
        self.calls: Counter[str] = Counter()
        self.world = World(list(self._corps()), self._clock, self._ban_after)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in self._endpoints:
            await self._pages(scope, receive, send)
            return
        name, call = self._endpoints[scope["path"]]
        self.calls[name] += 1
        fault = self._next_fault(name)
        if fault and fault.name in BEFORE:
            exchange = Exchange(scope, receive, send, {}, fault.options)
            await BEFORE[fault.name](exchange)
            return
        answer = _answered(call, self.world, await _asked(scope, receive))
        if fault:
            exchange = Exchange(scope, receive, send, answer, fault.options)
            await AFTER[fault.name](exchange)
            return
        response = Response(
            orjson.dumps(answer), media_type="application/json; charset=UTF-8"
        )
        await response(scope, receive, send)

    def _next_fault(self, endpoint: str) -> Fault | None:
        for fault in self.faults:
            if fault.endpoint in (endpoint, "*") and fault.times > 0:
                fault.times -= 1
                return fault
        return None


def create_sandbox(
    *,
    corps: Callable[[], Iterable[Corp]] = examples.corps,
    clock: Callable[[], float] = time.time,
    ban_after: int | None = 5,
) -> Sandbox:
    """
    `corps` is asked at the start and at each reset; `clock` is in seconds. After
    `ban_after` wrong secrets an address is answered 45009 by gettoken for an hour, as
    WeCom does; None never bans.
    """
    return Sandbox(corps=corps, clock=clock, ban_after=ban_after)


async def _asked(scope: Scope, receive: Receive) -> Asked:
    body: Fields = {}
    if scope["method"] == "POST":
        body = orjson.loads(await Request(scope, receive).body() or b"{}")
    query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    client = scope["client"]
    return Asked(query, body, address=client[0] if client else "")


def _answered(
    call: Callable[[World, Asked], Fields], world: World, asked: Asked
) -> Fields:
    try:
        told = call(world, asked)
    except Refusal as refusal:
        return {"errcode": refusal.errcode, "errmsg": refusal.errmsg}
    if "UserId" in told or "OpenId" in told:
        return told
    return {"errcode": 0, "errmsg": "ok", **told}


def _pages() -> list[Route]:
    return [
        _page("/", "phone.html", "text/html; charset=utf-8"),
        _page("/phone.js", "phone.js", "text/javascript; charset=utf-8"),
        _page("/phone.css", "phone.css", "text/css; charset=utf-8"),
    ]


def _page(path: str, name: str, media_type: str) -> Route:
    headers = {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }

    async def page(request: Request) -> Response:
        content = (PAGES / name).read_bytes()
        return Response(content, media_type=media_type, headers=headers)

    return Route(path, page)
