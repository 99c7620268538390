"""A small schema behind the real endpoint and envelope: what these tests talk to."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import strawberry
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from hefu.endpoint import GraphQLEndpoint
from hefu.heads import Head
from hefu.middleware import Envelope, draining
from services.errors import (
    Forbidden,
    Unauthenticated,
    UnauthenticatedReason,
    Unavailable,
)

ORIGIN = "https://admin.example"


@dataclass
class SampleCaller:
    may_introspect: bool = False


@dataclass
class SampleContext:
    caller: SampleCaller = field(default_factory=SampleCaller)

    async def begin(self, key: str) -> None:
        """Nothing is remembered."""

    def show_again(self, key: str) -> None:
        """Nor here."""


class DatabaseGone(Exception):
    pass


@strawberry.type
class Person:
    name: str = "小明"

    @strawberry.field
    def friends(
        self, first: int | None = None, last: int | None = None
    ) -> PersonConnection:
        return PersonConnection()

    @strawberry.field
    def self(self) -> Person:
        return Person()


@strawberry.type
class PersonConnection:
    @strawberry.field
    def nodes(self) -> list[Person]:
        return []


@strawberry.input
class LoginInput:
    account: str
    password: str


@strawberry.input
class Nested:
    inner: Nested | None = None


@strawberry.type
class Query:
    @strawberry.field
    def hello(self, name: str = "you") -> str:
        return f"Hello {name}"

    @strawberry.field
    def person(self) -> Person:
        return Person()

    @strawberry.field
    def people(
        self, first: int | None = None, last: int | None = None
    ) -> PersonConnection:
        return PersonConnection()

    @strawberry.field
    def nodes(self, ids: list[strawberry.ID]) -> list[Person]:
        return [Person() for _ in ids]

    @strawberry.field
    def nest(self, input: Nested) -> str:
        return "nested"

    @strawberry.field
    def surrogate(self) -> str:
        return "\ud800"

    @strawberry.field
    def fails(self) -> str | None:
        raise RuntimeError("password=hunter2 in statement")

    @strawberry.field
    def forbidden(self) -> str | None:
        raise Forbidden

    @strawberry.field
    def anonymous(self) -> str | None:
        raise Unauthenticated(UnauthenticatedReason.MISSING)

    @strawberry.field
    def revoked(self) -> str | None:
        raise Unauthenticated(UnauthenticatedReason.REVOKED)

    @strawberry.field
    def unavailable(self) -> str | None:
        raise Unavailable

    @strawberry.field
    def gone(self) -> str | None:
        raise DatabaseGone("host=db.internal")

    @strawberry.field
    async def stuck(self, seconds: float) -> str:
        """In a thread, as passwords are hashed: nothing can interrupt it."""
        await asyncio.to_thread(time.sleep, seconds)
        return "done"

    @strawberry.field
    async def slow(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"


@strawberry.type
class Mutation:
    @strawberry.mutation
    def sign_in_with_password(self, input: LoginInput) -> str:
        return "signed in"

    @strawberry.mutation
    def refresh_session(self, input: LoginInput) -> str:
        return "refreshed"

    @strawberry.mutation
    def rename(self, name: str) -> str:
        return name


schema = strawberry.Schema(query=Query, mutation=Mutation)


async def open_context(head: Head) -> SampleContext:
    credential = head.first(b"authorization")
    if credential == "Bearer down":
        raise DatabaseGone("host=db.internal")
    if credential not in {None, "Bearer admin"}:
        raise Unauthenticated(UnauthenticatedReason.INVALID)
    return SampleContext(SampleCaller(may_introspect=credential == "Bearer admin"))


async def page(request: Request) -> Response:
    return PlainTextResponse("<!doctype html>", media_type="text/html")


async def ready(request: Request) -> Response:
    return JSONResponse(None, 503 if draining(request.scope) else 200)


async def crash(request: Request) -> Response:
    raise RuntimeError("password=hunter2")


async def cut(request: Request) -> Response:
    """What it waits for is given up by somebody else."""
    given_up = asyncio.get_running_loop().create_future()
    given_up.cancel()
    await given_up
    return Response()


def create_app(*, graphiql: bool = False) -> ASGIApp:
    endpoint = GraphQLEndpoint(
        schema,
        open_context=open_context,
        graphiql=graphiql,
        page=page,
        outages=(DatabaseGone,),
    )
    router = Router(
        [
            Route("/graphql", endpoint),
            Route("/health/ready", ready),
            Route("/crash", crash),
            Route("/cut", cut),
        ],
        redirect_slashes=False,
    )
    return Envelope(router, allowed_origins=[ORIGIN])


def create_open_app() -> ASGIApp:
    """With GraphiQL, and so introspection: what the audit needs."""
    return create_app(graphiql=True)
