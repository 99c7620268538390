"""`/graphql`: GraphQL over HTTP, from the request's bytes to the answer's."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Iterable
from copy import copy
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
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from strawberry.execution import optimized_is_awaitable

from hefu import coercion, negotiation, parameters
from hefu.documents import Document, Documents, Invalid
from hefu.errors import Answers, Entry, refuses_credential
from hefu.parameters import Parameters, Refused
from hefu.plans import Plan
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


class Context(Protocol):
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
        open_context: Callable[[Request], Awaitable[C]],
        graphiql: bool,
        page: Callable[[Request], Awaitable[Response]] | None = None,
        outages: tuple[type[BaseException], ...] = (),
        replica: Replica | None = None,
        replicated: Collection[str] = (),
        documents: Documents | None = None,
        on_operation: Callable[[OperationDefinitionNode], None] | None = None,
    ) -> None:
        self._schema: GraphQLSchema = schema._schema  # pyright: ignore[reportPrivateUsage]
        self._executor = cast("type[Executor[Any]]", schema.execution_context_class)
        self._open_context = open_context
        self._graphiql = graphiql
        self._page = page if graphiql else None
        self._outages = outages
        self._replica = replica
        self._replicated = frozenset(replicated)
        self._answers = Answers(outages)
        self._on_operation = on_operation
        self.documents = documents or Documents(self._schema)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except ClientDisconnect:
            return
        response.headers["Cache-Control"] = "no-store"
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        if request.method not in {"GET", "POST"}:
            return self._refuse(Refused(405, METHOD, {"Allow": METHODS}), request)
        accept = ",".join(request.headers.getlist("accept"))
        if self._page and request.method == "GET" and negotiation.wants_page(accept):
            return await self._page(request)
        media = negotiation.answer_type(accept)
        if media is None:
            return self._refuse(Refused(406, NOT_ACCEPTABLE), request)
        try:
            return await self._answer(request, media)
        except Refused as refused:
            return self._refuse(refused, request, media)
        except RequestRejected as rejection:
            return self._reject(rejection, request, media)
        except self._outages:
            return self._reject(Unavailable(), request, media)

    async def _answer(self, request: Request, media: str) -> Response:
        asked = await parameters.read(request)
        context = await self._open_context(request)
        introspection = self._graphiql or context.caller.may_introspect
        try:
            document = self.documents.prepare(asked.query, introspection=introspection)
        except Invalid as invalid:
            errors = self._answers.of_request(invalid.errors, _language(request))
            return self._never_began(errors, media)
        operation = document.operation(asked.operation_name)
        if self._on_operation is not None:
            self._on_operation(operation)
        if request.method == "GET" and not document.is_query(operation):
            raise Refused(405, QUERIES_ONLY, {"Allow": "POST"})
        executor = self._build(document, operation, asked, context, introspection)
        if isinstance(executor, list):
            errors = self._answers.of_request(executor, _language(request))
            return self._never_began(errors, media)
        variables = executor.variable_values.coerced
        document.hold_page_sizes(operation, variables)
        document.hold_cost(operation, variables)
        data = None
        if self._replica and self._is_replicated(document, operation, context):
            # Loaders remember what they read: the primary is to be asked anew.
            other = copy(context)
            again = self._build(document, operation, asked, other, introspection)
            run = partial(_undisturbed, document.plan(operation), again)
            data = await self._replica.answer(run)
        plan = document.plan(operation)
        if plan and data is None:
            data = await plan.run(executor)
        if data is not None:
            return _encoded({"data": data}, 200, media)
        return await self._run(executor, request, media)

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
        introspection: bool,
    ) -> Executor[Any] | list[GraphQLError]:
        executor = self._executor.build(
            self._schema,
            document.tree,
            context_value=context,
            raw_variable_values=asked.variables,
            operation_name=asked.operation_name or None,
            max_coercion_errors=1,  # They are told again, without the values.
            is_awaitable=cast("Any", optimized_is_awaitable),
            hide_suggestions=not introspection,
        )
        if not isinstance(executor, list):
            return executor
        return coercion.refusals(
            self._schema,
            operation,
            asked.variables,
            hide_suggestions=not introspection,
        )

    async def _run(
        self, executor: Executor[Any], request: Request, media: str
    ) -> Response:
        running = executor.execute_operation()
        # No @defer and no @stream: the schema has neither directive.
        result = cast(
            "ExecutionResult", await running if isawaitable(running) else running
        )
        if not result.errors:
            return _encoded({"data": result.data}, 200, media)
        errors = self._answers.of_execution(
            result.errors, request.state.request_id, _language(request)
        )
        answer = {"data": result.data, "errors": errors}
        status = self._answers.status(result.errors)
        return _encoded(answer, status, media, _challenge(status))

    def _never_began(self, errors: Iterable[Entry], media: str) -> Response:
        """As the specification has it: application/json hides it behind a 200."""
        status = 400 if media == negotiation.GRAPHQL else 200
        return _encoded({"errors": list(errors)}, status, media)

    def _reject(
        self, rejection: RequestRejected, request: Request, media: str
    ) -> Response:
        status = STATUSES.get(rejection.code, 400)
        if status == HTTPStatus.UNAUTHORIZED and not refuses_credential(rejection):
            status = 200  # An API key that has expired is no forgery.
        entry = self._answers.of_rejection(rejection, _language(request))
        answer = {"errors": [entry]}
        return _encoded(answer, status, media, _challenge(status))

    def _refuse(
        self, refused: Refused, request: Request, media: str = negotiation.JSON
    ) -> Response:
        message = refused.message(_language(request))
        entry = {"message": message, "extensions": {"code": "BAD_REQUEST"}}
        return _encoded({"errors": [entry]}, refused.status, media, refused.headers)


async def _undisturbed(
    plan: Plan | None, executor: Executor[Any] | list[GraphQLError]
) -> Data | None:
    """The data of a query in which nothing goes wrong; None where anything does."""
    if isinstance(executor, list):
        return None
    if plan:
        return await plan.run(executor)
    running = executor.execute_operation()
    result = cast("ExecutionResult", await running if isawaitable(running) else running)
    return None if result.errors else result.data


def _language(request: Request) -> Language:
    return language.preferred(request.headers.get("accept-language"))


def _challenge(status: int) -> dict[str, str]:
    return {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}


def _encoded(
    answer: dict[str, Any],
    status: int,
    media: str,
    headers: dict[str, str] | None = None,
) -> Response:
    try:
        body = orjson.dumps(answer)
    except orjson.JSONEncodeError:
        # Integers past 64 bits, and lone surrogates, which this writes as escapes.
        body = json.dumps(answer, separators=(",", ":")).encode()
    return Response(body, status, headers, f"{media}; charset=utf-8")
