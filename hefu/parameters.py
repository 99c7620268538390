"""The parameters of GraphQL over HTTP, read strictly and no further than the cap."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qsl

import orjson
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from hefu import negotiation
from hefu.heads import Head
from services.language import Language, Text

MOST_BYTES = 64 * 1024
# Of Content-Length: more is no number of bytes, and int() of thousands is refused.
MOST_DIGITS = 18

BODY_NOT_JSON = Text("The body is not JSON in UTF-8", "请求体不是 UTF-8 编码的 JSON")
QUERY_NOT_UTF8 = Text("The query string is not UTF-8", "查询字符串不是 UTF-8 编码")
NOT_JSON = Text("{name} is not JSON in UTF-8", "{name} 不是 UTF-8 编码的 JSON")
NO_BATCHES = Text(
    "Batches are not taken: send one request at a time",
    "不接受批量请求：请逐个发送",
)
NO_OBJECT = Text("The body must be a JSON object", "请求体必须是 JSON 对象")
COMPRESSED = Text("The body must not be compressed", "请求体不能压缩")
CONTENT_TYPE = Text(
    "The content type must be application/json, in UTF-8",
    "内容类型必须是 UTF-8 编码的 application/json",
)
TOO_LARGE = Text(
    "The body is past a bound: at most {most} bytes", "请求体超出限制：最多 {most} 字节"
)
NO_STRING = Text("{name} must be a string", "{name} 必须是字符串")
NO_STRING_OR_NULL = Text(
    "{name} must be a string or null", "{name} 必须是字符串或 null"
)
# The words that clients look for before they send the document itself:
# https://www.apollographql.com/docs/apollo-server/performance/apq
PERSISTED = "persistedQuery"
NOT_PERSISTED = Text("PersistedQueryNotSupported", "PersistedQueryNotSupported")
NO_OBJECT_OR_NULL = Text("{name} must be an object or null", "{name} 必须是对象或 null")


class Refused(Exception):
    """The request is refused before there is anything to run."""

    def __init__(
        self,
        status: int,
        text: Text,
        headers: dict[str, str] | None = None,
        **values: object,
    ) -> None:
        super().__init__(text.en)
        self.status = status
        self.headers = headers or {}
        self._text = text
        self._values = values

    def message(self, language: Language) -> str:
        return self._text(language, **self._values)


@dataclass(frozen=True, slots=True)
class Parameters:
    query: str
    operation_name: str | None = None
    variables: dict[str, Any] = field(default_factory=dict[str, Any])


async def read(head: Head, receive: Receive) -> Parameters:
    """Raises Refused (4xx) for whatever is not exactly one request."""
    if head.method == "GET":
        return _from_query(head)
    _check_headers(head)
    body = _json(await _body(head, receive), BODY_NOT_JSON)
    if isinstance(body, list):
        raise Refused(400, NO_BATCHES)
    if not isinstance(body, dict):
        raise Refused(400, NO_OBJECT)
    return _checked(cast("dict[str, object]", body))


def _check_headers(head: Head) -> None:
    encoding = head.first(b"content-encoding")
    if encoding is not None and encoding.strip().lower() != "identity":
        # A kilobyte of gzip can hold a gigabyte.
        raise Refused(415, COMPRESSED, {"Accept-Encoding": ""})
    # Of two headers a proxy may have checked the other one.
    if not negotiation.is_json(head.joined(b"content-type") or ""):
        raise Refused(415, CONTENT_TYPE)


async def _body(head: Head, receive: Receive) -> bytes:
    declared = head.first(b"content-length") or "0"
    if declared.isdecimal() and int(declared[:MOST_DIGITS]) > MOST_BYTES:
        raise _too_large()
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            raise _too_large()
        more = message.get("more_body", False)
    return body


def _too_large() -> Refused:
    return Refused(413, TOO_LARGE, most=MOST_BYTES)


def _from_query(head: Head) -> Parameters:
    given = _query(head.scope["query_string"])
    read_from: dict[str, object] = {
        "query": given.get("query"),
        "operationName": given.get("operationName") or None,
    }
    for name in ("variables", "extensions"):
        if given.get(name):
            read_from[name] = _json(given[name].encode(), NOT_JSON, name=name)
    return _checked(read_from)


def _query(given: bytes) -> dict[str, str]:
    """Of several by one name the last; lone surrogates are no UTF-8 either."""
    try:
        # With U+FFFD in their place, two different texts would be the same one.
        return dict(parse_qsl(given.decode(), keep_blank_values=True, errors="strict"))
    except UnicodeDecodeError:
        raise Refused(400, QUERY_NOT_UTF8) from None


def _json(text: bytes, refusal: Text, *, name: str = "") -> object:
    """Orjson refuses broken UTF-8, lone surrogates, deep nesting and huge numbers."""
    try:
        return cast("object", orjson.loads(text))
    except orjson.JSONDecodeError:
        raise Refused(400, refusal, name=name) from None


def _checked(given: dict[str, object]) -> Parameters:
    query = given.get("query")
    extensions = given.get("extensions")
    if query is None and isinstance(extensions, dict) and PERSISTED in extensions:
        raise Refused(400, NOT_PERSISTED)
    if not isinstance(query, str):
        raise Refused(400, NO_STRING, name="query")
    name = given.get("operationName")
    if name is not None and not isinstance(name, str):
        raise Refused(400, NO_STRING_OR_NULL, name="operationName")
    for parameter in ("variables", "extensions"):
        if not isinstance(given.get(parameter), (dict, type(None))):
            raise Refused(400, NO_OBJECT_OR_NULL, name=parameter)
    variables = cast("dict[str, Any] | None", given.get("variables"))
    return Parameters(query, name, variables or {})
