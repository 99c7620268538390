"""The ASGI application: routes, and what is opened and closed around them."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, ParamSpec

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from hefu import addresses, garbage
from hefu.api import schema
from hefu.endpoint import GraphQLEndpoint
from hefu.errors import OnBug
from hefu.heads import Head
from hefu.metrics import Metrics
from hefu.middleware import Envelope, draining
from hefu.page import Page
from hefu.settings import Settings
from models import database, migrating
from models.migrating import Standing
from models.replica import Replica
from schema.context import Context
from services import language
from services.assembly import Services, assemble
from services.callers import Origin
from services.clock import Clock, now
from services.vault import Vault

if TYPE_CHECKING:
    from hefu.traces import Traces

P = ParamSpec("P")

logger = logging.getLogger(__name__)

PATH = "/graphql"

# Seconds that JWKS may be cached: `services/keys.py` publishes twice as long ahead.
JWKS_CACHED = 300

# Seconds; each process waits for a while of its own within them.
PRUNED_EVERY = 3600

# Seconds in which a probe of readiness learns that the database does not answer.
PROBE_PATIENCE = 1.5

# What a replica may answer, where there is one. Nothing of a login's, and not `me`.
REPLICATED = {
    "apiKeys",
    "app",
    "apps",
    "auditEvents",
    "identity",
    "identitySource",
    "identitySources",
    "node",
    "nodes",
    "user",
    "users",
}

OUTAGES = (database.DatabaseUnavailable,)


class Doors:
    """The HTTP endpoints beside `/graphql`."""

    def __init__(self, settings: Settings, services: Services) -> None:
        self._settings = settings
        self._services = services

    async def jwks(self, request: Request) -> Response:
        """RFC 7517: the keys that access tokens verify against."""
        keys = await self._services.keys.published()
        headers = {"Cache-Control": f"public, max-age={JWKS_CACHED}"}
        return JSONResponse({"keys": keys}, headers=headers)

    async def metadata(self, request: Request) -> Response:
        """RFC 8414: Hefu issues tokens, but by no OAuth grant."""
        issuer = self._settings.public_url
        return JSONResponse(
            {
                "issuer": issuer,
                "jwks_uri": f"{issuer}/.well-known/jwks.json",
                "response_types_supported": [],
                "grant_types_supported": [],
                "token_endpoint_auth_methods_supported": [],
            },
            headers={"Cache-Control": f"public, max-age={JWKS_CACHED}"},
        )

    async def live(self, request: Request) -> Response:
        return _health(200, "live")

    async def ready(self, request: Request) -> Response:
        if draining(request.scope):
            return _health(503, "stopping")
        return _health(*_READY[await migrating.standing()])


_READY = {
    Standing.SERVES: (200, "ready"),
    Standing.LACKS: (503, "the database wants `hefu migrate`"),
    Standing.TOO_NEW: (503, "the database is of a newer major version"),
}


def _health(status: int, text: str) -> Response:
    return JSONResponse({"status": text}, status, {"Cache-Control": "no-store"})


def guarded(
    answer: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """Say 503 where the database does not answer."""

    async def respond(request: Request) -> Response:
        try:
            return await answer(request)
        except OUTAGES:
            return _health(503, "the database does not answer")

    return respond


class Straight:
    """
    To `/graphql` past Starlette's router and what it puts around each route.

    The envelope masks what goes wrong, and there is nothing to match. With headers read
    once and no executor for plans, `{ __typename }` cost 100 µs where it had cost 220.
    """

    def __init__(self, endpoint: ASGIApp, others: ASGIApp) -> None:
        self._endpoint = endpoint
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_ours = scope["type"] == "http" and scope["path"] == PATH
        # Where a server says that it is mounted somewhere, the router knows where.
        app = self._endpoint if is_ours and not scope.get("root_path") else self._others
        await app(scope, receive, send)


class House(Envelope):
    """The application in its envelope, and the services behind it."""

    def __init__(
        self,
        app: ASGIApp,
        services: Services,
        *,
        allowed_origins: Collection[str],
        metrics: Metrics | None = None,
        on_bug: OnBug | None = None,
    ) -> None:
        super().__init__(
            app,
            allowed_origins=allowed_origins,
            on_answer=metrics.answered if metrics else None,
            on_bug=on_bug,
        )
        self.services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A request's statements share one patience, however many there are."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        probing = scope["path"].startswith("/health/")
        with database.patience(PROBE_PATIENCE if probing else database.PATIENCE):
            await super().__call__(scope, receive, send)


def create_app(
    settings: Settings | None = None,
    *,
    clock: Clock = now,
    page: Page | None = None,
) -> House:
    """
    The application, for uvicorn's `--factory` too.

    :raises BadSettings: naming each setting that is unsafe or cannot be read.
    """
    settings = settings or Settings.from_environ(os.environ)
    metrics = Metrics() if settings.metrics_listen else None
    traces = _traces(settings)
    on_bug = _each(*(each.bug for each in (metrics, traces) if each))
    services = assemble(
        settings.policy,
        vault=Vault(settings.secret_keys),
        wecom_url=settings.wecom_url,
        wecom_timeout=settings.wecom_timeout,
        clock=clock,
        observe=_each(*(each.wecom for each in (metrics, traces) if each)),
        outcomes=metrics.outcomes() if metrics else None,
    )
    doors = Doors(settings, services)
    page = page or Page()
    observe = traces.statement if traces else None
    replica = None
    if settings.replica_url:
        replica = Replica(settings.replica_url, observe=observe)
    endpoint = GraphQLEndpoint(
        schema,
        open_context=_context_opener(settings, services),
        graphiql=settings.graphiql,
        page=page,
        outages=OUTAGES,
        replica=replica,
        replicated=REPLICATED,
        on_operation=traces.operation if traces else None,
        on_bug=on_bug,
    )

    @asynccontextmanager
    async def lifespan(app: object) -> AsyncGenerator[None]:
        async with database.opened(settings.database_url, observe=observe):
            beside = [
                asyncio.create_task(_prune_now_and_then(services)),
                asyncio.create_task(garbage.give_back()),
            ]
            if metrics:
                sampling = metrics.sample(services.passwords)
                beside.append(asyncio.create_task(sampling))
            try:
                yield
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.wait(beside)
                await services.close()
                if replica:
                    await replica.close()
                if traces:
                    traces.stop()
        if traces:
            await traces.stopped()

    # Not Starlette itself, which answers an error in plain text and raises it again:
    # the envelope says it as everywhere, and logs it once.
    others = Router(
        [
            Route(PATH, endpoint),
            *(page.routes if settings.graphiql else ()),
            Route("/.well-known/jwks.json", guarded(doors.jwks)),
            Route("/.well-known/oauth-authorization-server", doors.metadata),
            Route("/health/live", doors.live),
            Route("/health/ready", guarded(doors.ready)),
        ],
        redirect_slashes=False,
        lifespan=lifespan,
    )
    house = traces.house if traces else House
    return house(
        Straight(endpoint, others),
        services,
        allowed_origins=settings.allowed_origins,
        metrics=metrics,
        on_bug=on_bug,
    )


def _traces(settings: Settings) -> Traces | None:
    if not settings.traces:
        return None
    # OpenTelemetry need not be installed, and takes its time to import.
    from hefu.traces import Traces  # noqa: PLC0415

    return Traces(trusted=settings.trusted_proxies, wecom_url=settings.wecom_url)


def _each(*observers: Callable[P, None]) -> Callable[P, None] | None:
    """All of them as one, and one as itself."""
    if len(observers) < 2:  # noqa: PLR2004
        return observers[0] if observers else None

    def observe(*told: P.args, **named: P.kwargs) -> None:
        for each in observers:
            each(*told, **named)

    return observe


def _context_opener(
    settings: Settings, services: Services
) -> Callable[[Head], Awaitable[Context]]:
    async def open_context(head: Head) -> Context:
        forwarded = [head.joined(b"x-forwarded-for") or ""]
        peer = addresses.client(head.peer, forwarded, settings.trusted_proxies)
        origin = Origin(
            request_id=head.request_id,
            ip_address=peer or "",
            user_agent=head.first(b"user-agent"),
            language=language.preferred(head.first(b"accept-language")),
        )
        caller = partial(
            services.authentication.caller, origin, head.joined(b"authorization")
        )
        return Context(await caller(), services, again=caller)

    return open_context


async def _prune_now_and_then(services: Services) -> None:
    while True:
        await asyncio.sleep(PRUNED_EVERY * random.uniform(0.5, 1.5))  # noqa: S311
        try:
            await services.pruning.run()
        except OUTAGES:
            logger.warning("Pruning was put off: the database does not answer.")
        except Exception:
            # A bug, of which somebody is to hear; the next time may be better.
            logger.exception("Pruning failed")
