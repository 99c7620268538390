"""
OpenTelemetry traces: a span each for a request, a call to WeCom and a statement.

Only imported where `HEFU_TRACES` is on: OpenTelemetry is an extra (`otel`). Where
spans go, and how many of them, is said in the `OTEL_…` variables that its SDK reads.
What a span holds is listed in docs/operations.md. All of it is words of ours: whoever
reads traces is not whoever may read codes, tokens or people's names.
"""

from __future__ import annotations

import asyncio
import functools
import re
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from importlib import metadata
from typing import Any
from urllib.parse import urlsplit

from graphql import FieldNode, OperationDefinitionNode
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Message, Receive, Scope, Send

from hefu import addresses
from hefu.addresses import Network
from hefu.app import House
from models.outages import root, sqlite_code, sqlstate
from models.statements import Statement
from wecom import client as wecom

# Seconds, of the ten that a stop may take: a collector that is gone keeps nobody.
FLUSH_SECONDS = 1.0

# Whatever else a caller writes there is his own word.
METHODS = {"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"}
ROUTES = {
    "/graphql",
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/health/live",
    "/health/ready",
}
CALLS = {
    each.call: each.path
    for each in (
        wecom.GETTOKEN,
        wecom.GETUSERINFO,
        wecom.USER_GET,
        wecom.AGENT_GET,
        wecom.GETUSERDETAIL,
    )
}

# SQL is of our own words; its values are parameters, and are not told.
_VERB = re.compile(r"\s*([A-Za-z]+)")
_TABLE = re.compile(r'\b(?:FROM|JOIN|INTO|UPDATE)\s+"?([a-z_]+)"?', re.IGNORECASE)
_NO_TABLES = {"set", "select", "of"}  # ON CONFLICT DO UPDATE SET; FOR UPDATE OF.

_PROPAGATOR = TraceContextTextMapPropagator()


class Traces:
    """
    One process' spans, on their way to a collector.

    :param trusted: whose `traceparent` counts, as with X-Forwarded-For. A stranger who
        could name the trace would write into others', and have each request recorded.
    """

    def __init__(self, *, trusted: Sequence[Network], wecom_url: str) -> None:
        ours = {
            "service.name": "hefu",
            "service.version": metadata.version("hefu"),
        }
        # The environment's word comes last.
        resource = Resource(ours).merge(Resource.create())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("hefu", metadata.version("hefu"))
        self._trusted = trusted
        self._stopped = asyncio.Event()
        self._stop_by = 0.0
        self._wecom_host = urlsplit(wecom_url).hostname or ""

    @contextmanager
    def request(self, scope: Scope) -> Generator[Span]:
        """A span around the block; what is asked for in it becomes its children."""
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        route = scope["path"] if scope["path"] in ROUTES else None
        attributes: dict[str, Any] = {
            "http.request.method": method,
            "url.scheme": scope.get("scheme", "http"),
        }
        if route is not None:
            attributes["http.route"] = route
        word = "HTTP" if method == "_OTHER" else method
        parent = self._parent(scope)
        span = self._tracer.start_span(
            f"{word} {route}" if route else word,
            context=parent,
            kind=SpanKind.SERVER,
            attributes=attributes,
        )
        token = context.attach(trace.set_span_in_context(span, parent))
        try:
            yield span
        except BaseException as error:
            # Not record_exception: an exception's text may quote a row.
            _fail(span, type(error).__qualname__)
            raise
        finally:
            context.detach(token)
            span.end()

    def operation(self, operation: OperationDefinitionNode) -> None:
        """
        What the request asks for, in the schema's words.

        Neither the operation's name nor an alias: those are the caller's.
        """
        selected = operation.selection_set.selections
        fields = [each.name.value for each in selected if isinstance(each, FieldNode)]
        span = trace.get_current_span()
        span.set_attribute("graphql.operation.type", operation.operation.value)
        span.set_attribute("hefu.root_fields", tuple(dict.fromkeys(fields)))

    def bug(self) -> None:
        """The request that is being answered holds an unexpected error."""
        _fail(trace.get_current_span(), "INTERNAL")

    def wecom(self, call: str, outcome: str, seconds: float) -> None:
        """A request to WeCom that has ended. It is not told of the trace."""
        method = "POST" if call == wecom.GETUSERDETAIL.call else "GET"
        path = CALLS[call]
        ended = time.time_ns()
        span = self._tracer.start_span(
            f"{method} {path}",
            kind=SpanKind.CLIENT,
            attributes={
                "http.request.method": method,
                "server.address": self._wecom_host,
                "url.template": path,
            },
            start_time=ended - int(seconds * 1e9),
        )
        if outcome != "ok":
            _fail(span, outcome)
        span.end(ended)

    def statement(self, statement: Statement) -> None:
        """A statement that has ended."""
        verb, summary = _summed_up(statement.sql)
        attributes: dict[str, Any] = {
            "db.system.name": statement.system,
            "db.operation.name": verb,
            "db.query.summary": summary,
        }
        if statement.server is not None:
            attributes["server.address"], attributes["server.port"] = statement.server
        span = self._tracer.start_span(
            summary,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=statement.began,
        )
        if statement.error is not None:
            _fail_statement(span, statement.error)
        span.end(statement.ended)

    def house(self, *parts: Any, **more: Any) -> House:
        """The house, with a span around each request."""
        return TracedHouse(*parts, traces=self, **more)

    def stop(self) -> None:
        """Begin to send what is left."""
        loop = asyncio.get_running_loop()
        self._stop_by = loop.time() + FLUSH_SECONDS

        def shut_down() -> None:
            self._provider.shutdown()
            # The loop is gone by the time that a slow collector lets go.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._stopped.set)

        # Nobody waits for a daemon at the process' end, as for a pool's threads.
        threading.Thread(target=shut_down, daemon=True).start()

    async def stopped(self) -> None:
        """Wait until it is sent; a collector that takes too long loses it."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._stop_by):
                await self._stopped.wait()

    def _parent(self, scope: Scope) -> context.Context:
        peer = scope["client"][0] if scope.get("client") else ""
        if not addresses.is_trusted(peer, self._trusted):
            return context.Context()
        carrier = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in {b"traceparent", b"tracestate"}
        }
        return _PROPAGATOR.extract(carrier, context.Context())


class TracedHouse(House):
    """The house, with a span around each request."""

    def __init__(self, *parts: Any, traces: Traces, **more: Any) -> None:
        super().__init__(*parts, **more)
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        with self._traces.request(scope) as span:

            async def wrapped(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _answered(span, message["status"])
                await send(message)

            await super().__call__(scope, receive, wrapped)
            # So that a line of the log leads here, and this to it.
            span.set_attribute("hefu.request_id", scope["state"]["request_id"])


def _answered(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _fail(span, str(status))


def _fail(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))


def _fail_statement(span: Span, error: BaseException) -> None:
    """The database's code; its text may quote a row."""
    cause = root(error)
    code = sqlstate(cause) or sqlite_code(cause)
    _fail(span, type(cause).__qualname__)
    if code is not None:
        span.set_attribute("db.response.status_code", str(code))


@functools.lru_cache(maxsize=512)
def _summed_up(sql: str) -> tuple[str, str]:
    """A statement's verb; and it with the tables that it names, each once."""
    found = _VERB.match(sql)
    verb = found[1].upper() if found else "OTHER"
    tables = dict.fromkeys(name.lower() for name in _TABLE.findall(sql))
    names = [name for name in tables if name not in _NO_TABLES]
    return verb, " ".join([verb, *names])
