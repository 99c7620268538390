"""
What can go wrong with an answer, to be switched on for the next calls of an endpoint.

A fault is a function of the answer that would have been sent. Those in `BEFORE` keep
the request from being acted on, so that a code is still good after them.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

import orjson
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

TRANSPORT = "wecom.sandbox.transport"
"""Under this name `running` puts a connection's transport among the ASGI extensions."""

GZIP_BOMB_CHUNKS = 1024


@dataclass
class Fault:
    """For the next `times` calls of `endpoint`, or of any where it is `*`."""

    name: str
    endpoint: str
    times: int
    options: Mapping[str, object]


@dataclass(frozen=True)
class Exchange:
    """The request a fault is played on, and what would have been answered."""

    scope: Scope
    receive: Receive
    send: Send
    answer: dict[str, object]
    options: Mapping[str, object]

    def number(self, name: str, default: float) -> float:
        value = self.options.get(name, default)
        return float(value) if isinstance(value, int | float) else default

    async def reply(
        self,
        body: bytes,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        response = Response(
            body, status, headers=headers, media_type="application/json; charset=UTF-8"
        )
        await response(self.scope, self.receive, self.send)

    async def stream(
        self, chunks: AsyncIterator[bytes], headers: Mapping[str, str] | None = None
    ) -> None:
        response = StreamingResponse(
            chunks, headers=headers, media_type="application/json; charset=UTF-8"
        )
        await response(self.scope, self.receive, self.send)

    def transport(self) -> asyncio.Transport:
        transport: asyncio.Transport = self.scope["extensions"][TRANSPORT]["transport"]
        return transport

    async def disconnected(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


Play = Callable[[Exchange], Awaitable[None]]


async def errcode(exchange: Exchange) -> None:
    await asyncio.sleep(exchange.number("seconds", 0))
    code = exchange.options.get("errcode", -1)
    errmsg = exchange.options.get("errmsg", "sandbox fault")
    await exchange.reply(orjson.dumps({"errcode": code, "errmsg": errmsg}))


async def hang(exchange: Exchange) -> None:
    await exchange.disconnected()


async def delay(exchange: Exchange) -> None:
    await asyncio.sleep(exchange.number("seconds", 1.0))
    await exchange.reply(orjson.dumps(exchange.answer))


async def drip(exchange: Exchange) -> None:
    """A byte at a time, each well within a timeout for one read."""
    seconds = exchange.number("seconds", 0.1)

    async def bytes_of(body: bytes) -> AsyncIterator[bytes]:
        for byte in body:
            yield bytes([byte])
            await asyncio.sleep(seconds)

    await exchange.stream(bytes_of(orjson.dumps(exchange.answer)))


async def reset(exchange: Exchange) -> None:
    """A TCP reset, not a farewell: lingering for no time makes it one."""
    transport = exchange.transport()
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await exchange.disconnected()


async def close(exchange: Exchange) -> None:
    exchange.transport().close()
    await exchange.disconnected()


async def garbage(exchange: Exchange) -> None:
    exchange.transport().write(b"SSH-2.0-sandbox\r\n\r\n")
    await close(exchange)


async def truncated(exchange: Exchange) -> None:
    body = orjson.dumps(exchange.answer)
    length = str(len(body)).encode()
    start = {"type": "http.response.start", "status": 200}
    await exchange.send({**start, "headers": [(b"content-length", length)]})
    half = body[: len(body) // 2]
    await exchange.send({"type": "http.response.body", "body": half, "more_body": True})
    await close(exchange)


async def status(exchange: Exchange) -> None:
    """With the right answer beside the wrong status."""
    body = orjson.dumps(exchange.answer)
    await exchange.reply(body, status=int(exchange.number("status", 502)))


async def redirect(exchange: Exchange) -> None:
    """By default to the very same address: whoever follows sends the code twice."""
    query = exchange.scope["query_string"].decode("latin-1")
    same = f"{exchange.scope['path']}?{query}"
    location = str(exchange.options.get("location", same))
    await exchange.reply(b"", status=302, headers={"Location": location})


async def empty(exchange: Exchange) -> None:
    await exchange.reply(b"")


async def not_json(exchange: Exchange) -> None:
    await exchange.reply(b"<html>502 Bad Gateway</html>")


async def not_an_object(exchange: Exchange) -> None:
    await exchange.reply(orjson.dumps([exchange.answer]))


async def deep(exchange: Exchange) -> None:
    depth = int(exchange.number("depth", 100_000))
    nested = b"[" * depth + b"]" * depth
    await exchange.reply(_with_raw(exchange, "deep", nested))


async def duplicate_keys(exchange: Exchange) -> None:
    """Each key twice, with another value each time."""
    twice = b",".join(
        orjson.dumps(key) + b":" + value
        for key, told in exchange.answer.items()
        for value in (orjson.dumps(told), b'"somebody-else"')
    )
    await exchange.reply(b"{" + twice + b"}")


async def field(exchange: Exchange) -> None:
    """Any value for any field: wrong types, lifetimes, userids."""
    name = str(exchange.options.get("name"))
    value = exchange.options.get("value")
    await exchange.reply(orjson.dumps({**exchange.answer, name: value}))


async def without(exchange: Exchange) -> None:
    answer = dict(exchange.answer)
    answer.pop(str(exchange.options.get("name")), None)
    await exchange.reply(orjson.dumps(answer))


async def body(exchange: Exchange) -> None:
    await exchange.reply(str(exchange.options.get("body", "")).encode())


async def nan(exchange: Exchange) -> None:
    await exchange.reply(_with_raw(exchange, "extra", b"NaN"))


async def long_number(exchange: Exchange) -> None:
    await exchange.reply(_with_raw(exchange, "errcode", b"9" * 5000))


async def broken_utf8(exchange: Exchange) -> None:
    await exchange.reply(_with_raw(exchange, "extra", b'"\xff\xfe"'))


async def byte_order_mark(exchange: Exchange) -> None:
    await exchange.reply(b"\xef\xbb\xbf" + orjson.dumps(exchange.answer))


async def huge(exchange: Exchange) -> None:
    size = int(exchange.number("bytes", 300 * 1024))
    await exchange.reply(_with_raw(exchange, "extra", b'"' + b"x" * size + b'"'))


async def endless(exchange: Exchange) -> None:
    async def spaces() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65536
            await asyncio.sleep(0)  # Or nobody hears that the client has left.

    await exchange.stream(spaces())


async def mislabelled(exchange: Exchange) -> None:
    """The right answer, said to be compressed."""
    headers = {"Content-Encoding": "gzip"}
    await exchange.reply(orjson.dumps(exchange.answer), headers=headers)


async def gzip_bomb(exchange: Exchange) -> None:
    """64 MiB of spaces in a quarter of a MiB, asked for or not."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    spaces = b" " * 65536
    packed = b"".join(packer.compress(spaces) for _ in range(GZIP_BOMB_CHUNKS))
    headers = {"Content-Encoding": "gzip"}
    await exchange.reply(packed + packer.flush(), headers=headers)


BEFORE: dict[str, Play] = {
    "errcode": errcode,
    "hang": hang,
    "reset_before": reset,
    "close_before": close,
    "garbage": garbage,
}

AFTER: dict[str, Play] = {
    "hang_after": hang,
    "reset_after": reset,
    "close_after": close,
    "delay": delay,
    "drip": drip,
    "truncated": truncated,
    "status": status,
    "redirect": redirect,
    "empty": empty,
    "not_json": not_json,
    "not_an_object": not_an_object,
    "deep": deep,
    "duplicate_keys": duplicate_keys,
    "field": field,
    "without": without,
    "body": body,
    "nan": nan,
    "long_number": long_number,
    "broken_utf8": broken_utf8,
    "byte_order_mark": byte_order_mark,
    "huge": huge,
    "endless": endless,
    "mislabelled": mislabelled,
    "gzip_bomb": gzip_bomb,
}


def _with_raw(exchange: Exchange, name: str, raw: bytes) -> bytes:
    """The answer, with a last field that no JSON library would write."""
    known = orjson.dumps(exchange.answer)[:-1]
    return known + b',"' + name.encode() + b'":' + raw + b"}"
