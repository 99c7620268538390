"""The parameters of GraphQL over HTTP, read strictly and no further than the cap."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import orjson
from starlette.requests import Request

from hefu import negotiation

MOST_BYTES = 64 * 1024
# Of Content-Length: more is no number of bytes, and int() of thousands is refused.
MOST_DIGITS = 18


class Refused(Exception):
    """The request is refused before there is anything to run."""

    def __init__(
        self, status: int, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Parameters:
    query: str
    operation_name: str | None = None
    variables: dict[str, Any] = field(default_factory=dict[str, Any])


async def read(request: Request) -> Parameters:
    """Raises Refused (4xx) for whatever is not exactly one request."""
    if request.method == "GET":
        return _from_query(request)
    _check_headers(request)
    body = _json(await _body(request), "The body")
    if isinstance(body, list):
        raise Refused(400, "Batches are not taken: send one request at a time")
    if not isinstance(body, dict):
        raise Refused(400, "The body must be a JSON object")
    return _checked(cast("dict[str, object]", body))


def _check_headers(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        # A kilobyte of gzip can hold a gigabyte.
        raise Refused(415, "The body must not be compressed", {"Accept-Encoding": ""})
    # Of two headers a proxy may have checked the other one.
    if not negotiation.is_json(",".join(request.headers.getlist("content-type"))):
        raise Refused(415, "The content type must be application/json, in UTF-8")


async def _body(request: Request) -> bytes:
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:MOST_DIGITS]) > MOST_BYTES:
        raise _too_large()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise _too_large()
    return bytes(body)


def _too_large() -> Refused:
    return Refused(413, f"The body is past a bound: at most {MOST_BYTES} bytes")


def _from_query(request: Request) -> Parameters:
    given = request.query_params
    read_from: dict[str, object] = {
        "query": given.get("query"),
        "operationName": given.get("operationName") or None,
    }
    for name in ("variables", "extensions"):
        if given.get(name):
            read_from[name] = _json(given[name].encode(errors="replace"), name)
    return _checked(read_from)


def _json(text: bytes, what: str) -> object:
    """Orjson refuses broken UTF-8, lone surrogates, deep nesting and huge numbers."""
    try:
        return cast("object", orjson.loads(text))
    except orjson.JSONDecodeError:
        raise Refused(400, f"{what} is not JSON in UTF-8") from None


def _checked(given: dict[str, object]) -> Parameters:
    query = given.get("query")
    if not isinstance(query, str):
        raise Refused(400, "query must be a string")
    name = given.get("operationName")
    if name is not None and not isinstance(name, str):
        raise Refused(400, "operationName must be a string or null")
    for parameter in ("variables", "extensions"):
        if not isinstance(given.get(parameter), (dict, type(None))):
            raise Refused(400, f"{parameter} must be an object or null")
    variables = cast("dict[str, Any] | None", given.get("variables"))
    return Parameters(query, name, variables or {})
