"""The answer to `{ __typename }` from a plain route, in the same envelope."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hefu.middleware import Envelope


async def answer(request: Request) -> Response:
    await request.json()
    return JSONResponse({"data": {"__typename": "Query"}})


def create_app() -> Envelope:
    return Envelope(Starlette(routes=[Route("/graphql", answer, methods=["POST"])]))
