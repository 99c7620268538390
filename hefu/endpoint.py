"""`/graphql`: GraphQL over HTTP, from the request's bytes to the answer's."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from inspect import isawaitable
from typing import Any, Generic, Protocol, TypeVar, cast

import orjson
import strawberry
from graphql import (
    ExecutionResult,
    Executor,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
)
from graphql.execution.values import VariableValues
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from strawberry.execution import optimized_is_awaitable

from hefu import coercion, negotiation, parameters
from hefu.documents import Document, Documents, Invalid
from hefu.done import Begun, Done
from hefu.errors import Answers, Entry, OnBug, refuses_credential
from hefu.heads import Head
from hefu.parameters import Parameters, Refused
from hefu.plans import MutationPlan, Plan
from services import language
from services.errors import RequestRejected, Unavailable
from services.language import Language, Text

METHODS = "GET, POST"
METHOD = Text("The method must be GET or POST", "请求方法必须是 GET 或 POST")
QUERIES_ONLY = Text(
    "GET is for queries: send it by POST", "GET 只用于查询：请以 POST 发送"
)
NOT_ACCEPTABLE = Text(
    f"Answers are {negotiation.GRAPHQL} or {negotiation.JSON}",
    f"响应类型为 {negotiation.GRAPHQL} 或 {negotiation.JSON}",
)
STATUSES = {"UNAUTHENTICATED": 401, "FORBIDDEN": 403, "UNAVAILABLE": 503}


class Caller(Protocol):
    @property
    def may_introspect(self) -> bool: ...


class Context(Begun, Protocol):
    @property
    def caller(self) -> Caller: ...


C = TypeVar("C", bound=Context)

Data = dict[str, Any]


class Replica(Protocol):
    """Another place to read at, which may decline."""

    async def answer(
        self, ask: Callable[[], Awaitable[Data | None]]
    ) -> Data | None: ...


class GraphQLEndpoint(Generic[C]):
    """
    A schema, served.

    Strawberry's own `execute` parses and validates each request anew and runs its
    extensions around it; here documents are remembered and its executor is run
    directly, so its resolvers and exception handlers work as they do there.
    """

    def __init__(
        self,
        schema: strawberry.Schema,
        *,
        open_context: Callable[[Head], Awaitable[C]],
        graphiql: bool,
        page: Callable[[Request], Awaitable[Response]] | None = None,
        outages: tuple[type[BaseException], ...] = (),
        replica: Replica | None = None,
        replicated: Collection[str] = (),
        documents: Documents | None = None,
        on_operation: Callable[[OperationDefinitionNode], None] | None = None,
        on_bug: OnBug | None = None,
    ) -> None:
        self._schema: GraphQLSchema = schema._schema  # pyright: ignore[reportPrivateUsage]
        self._executor = cast("type[Executor[Any]]", schema.execution_context_class)
        self._open_context = open_context
        self._graphiql = graphiql
        self._page = page if graphiql else None
        self._outages = outages
        self._replica = replica
        self._replicated = frozenset(replicated)
        self._answers = Answers(outages, on_bug)
        self._on_operation = on_operation
        self.documents = documents or Documents(self._schema)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = Head(scope)
        if self._page and self._wants_page(head):
            response = await self._page(Request(scope, receive))
            response.headers["Cache-Control"] = "no-store"
            await response(scope, receive, send)
            return
        try:
            answer = await self._respond(head, receive)
        except ClientDisconnect:
            return
        await answer.send(send)

    def _wants_page(self, head: Head) -> bool:
        return head.method == "GET" and negotiation.wants_page(head.joined(b"accept"))

    async def _respond(self, head: Head, receive: Receive) -> Answer:
        if head.method not in {"GET", "POST"}:
            return self._refuse(Refused(405, METHOD, {"Allow": METHODS}), head)
        media = negotiation.answer_type(head.joined(b"accept"))
        if media is None:
            return self._refuse(Refused(406, NOT_ACCEPTABLE), head)
        try:
            return await self._answer(head, receive, media)
        except Refused as refused:
            return self._refuse(refused, head, media)
        except RequestRejected as rejection:
            return self._reject(rejection, head, media)
        except self._outages:
            return self._reject(Unavailable(), head, media)

    async def _answer(self, head: Head, receive: Receive, media: str) -> Answer:
        asked = await parameters.read(head, receive)
        context = await self._open_context(head)
        introspection = self._may_introspect(context)
        try:
            document = self.documents.prepare(asked.query, introspection=introspection)
        except Invalid as invalid:
            errors = self._answers.of_request(invalid.errors, _language(head))
            return self._never_began(errors, media)
        operation = document.operation(asked.operation_name)
        if self._on_operation is not None:
            self._on_operation(operation)
        if head.method == "GET" and not document.is_query(operation):
            raise Refused(405, QUERIES_ONLY, {"Allow": "POST"})
        variables = document.variables(operation, asked.variables)
        if variables is None:
            misfits = self._misfits(operation, asked, introspection)
            errors = self._answers.of_request(misfits, _language(head))
            if coercion.wants_object(misfits):
                return _encoded({"errors": errors}, 400, media)
            return self._never_began(errors, media)
        document.hold_page_sizes(operation, variables.coerced)
        document.hold_cost(operation, variables.coerced)
        plan, done = document.plan(operation, variables), Done(context)

        def build(context: C) -> Executor[Any] | list[GraphQLError]:
            return self._build(document, operation, asked, context, done)

        data = None
        if isinstance(plan, MutationPlan):
            data = await plan.run(context, variables, done)
            return await self._finished(data, partial(build, context), head, media)
        if self._replica and self._is_replicated(document, operation, context):
            # Loaders remember what they read: the primary is to be asked anew.
            run = partial(_undisturbed, plan, variables, copy(context), build)
            data = await self._replica.answer(run)
        if plan and data is None:
            data = await plan.run(context, variables)
        return await self._finished(data, partial(build, context), head, media)

    async def _finished(
        self,
        data: Data | None,
        build: Callable[[], Executor[Any] | list[GraphQLError]],
        head: Head,
        media: str,
    ) -> Answer:
        """The data that a plan found, or whatever graphql-core has to say."""
        if data is not None:
            return _encoded({"data": data}, 200, media)
        executor = build()
        if isinstance(executor, list):
            errors = self._answers.of_request(executor, _language(head))
            return self._never_began(errors, media)
        return await self._run(executor, head, media)

    def _may_introspect(self, context: C) -> bool:
        return self._graphiql or context.caller.may_introspect

    def _is_replicated(
        self, document: Document, operation: OperationDefinitionNode, context: C
    ) -> bool:
        """Whether a replica may answer: never what a promise hangs on."""
        return (
            context.caller.may_introspect
            and document.is_query(operation)
            and document.roots(operation) <= self._replicated
        )

    def _build(
        self,
        document: Document,
        operation: OperationDefinitionNode,
        asked: Parameters,
        context: C,
        done: Done,
    ) -> Executor[Any] | list[GraphQLError]:
        introspection = self._may_introspect(context)
        executor = self._executor.build(
            self._schema,
            document.tree,
            context_value=context,
            raw_variable_values=asked.variables,
            operation_name=asked.operation_name or None,
            max_coercion_errors=1,  # They are told again, without the values.
            middleware=None if document.is_query(operation) else done.middleware(),
            is_awaitable=cast("Any", optimized_is_awaitable),
            hide_suggestions=not introspection,
        )
        if not isinstance(executor, list):
            return executor
        return self._misfits(operation, asked, introspection)

    def _misfits(
        self, operation: OperationDefinitionNode, asked: Parameters, introspection: bool
    ) -> list[GraphQLError]:
        return coercion.refusals(
            self._schema,
            operation,
            asked.variables,
            hide_suggestions=not introspection,
        )

    async def _run(self, executor: Executor[Any], head: Head, media: str) -> Answer:
        running = executor.execute_operation()
        # No @defer and no @stream: the schema has neither directive.
        result = cast(
            "ExecutionResult", await running if isawaitable(running) else running
        )
        if not result.errors:
            return _encoded({"data": result.data}, 200, media)
        errors = self._answers.of_execution(
            result.errors, head.request_id, _language(head)
        )
        answer = {"data": result.data, "errors": errors}
        status = self._answers.status(result.errors)
        return _encoded(answer, status, media, _challenge(status))

    def _never_began(self, errors: Iterable[Entry], media: str) -> Answer:
        """As the specification has it: application/json hides it behind a 200."""
        status = 400 if media == negotiation.GRAPHQL else 200
        return _encoded({"errors": list(errors)}, status, media)

    def _reject(self, rejection: RequestRejected, head: Head, media: str) -> Answer:
        status = STATUSES.get(rejection.code, 400)
        if status == HTTPStatus.UNAUTHORIZED and not refuses_credential(rejection):
            status = 200  # An API key that has expired is no forgery.
        entry = self._answers.of_rejection(rejection, _language(head))
        answer = {"errors": [entry]}
        return _encoded(answer, status, media, _challenge(status))

    def _refuse(
        self, refused: Refused, head: Head, media: str = negotiation.JSON
    ) -> Answer:
        message = refused.message(_language(head))
        entry = {"message": message, "extensions": {"code": "BAD_REQUEST"}}
        return _encoded({"errors": [entry]}, refused.status, media, refused.headers)


async def _undisturbed(
    plan: Plan | None,
    variables: VariableValues,
    context: C,
    build: Callable[[C], Executor[Any] | list[GraphQLError]],
) -> Data | None:
    """The data of a query in which nothing goes wrong; None where anything does."""
    if plan:
        return await plan.run(context, variables)
    executor = build(context)
    if isinstance(executor, list):
        return None
    running = executor.execute_operation()
    result = cast("ExecutionResult", await running if isawaitable(running) else running)
    return None if result.errors else result.data


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's bytes; what every answer gets, `hefu/middleware.py` adds."""

    body: bytes
    status: int
    media: str
    headers: Mapping[str, str]

    async def send(self, send: Send) -> None:
        headers = [
            (b"content-length", b"%d" % len(self.body)),
            (b"content-type", b"%b; charset=utf-8" % self.media.encode()),
            (b"cache-control", b"no-store"),
        ]
        for name, value in self.headers.items():
            headers.append((name.lower().encode(), value.encode()))
        await send(
            {
                "type": "http.response.start",
                "status": self.status,
                "headers": headers,
            }
        )
        await send({"type": "http.response.body", "body": self.body})


def _language(head: Head) -> Language:
    return language.preferred(head.first(b"accept-language"))


NO_HEADERS: Mapping[str, str] = {}


def _challenge(status: int) -> Mapping[str, str]:
    refused = status == HTTPStatus.UNAUTHORIZED
    return {"WWW-Authenticate": "Bearer"} if refused else NO_HEADERS


def _encoded(
    answer: dict[str, Any],
    status: int,
    media: str,
    headers: Mapping[str, str] = NO_HEADERS,
) -> Answer:
    try:
        body = orjson.dumps(answer)
    except orjson.JSONEncodeError:
        # Integers past 64 bits, and lone surrogates, which this writes as escapes.
        body = json.dumps(answer, separators=(",", ":")).encode()
    return Answer(body, status, media, headers)
