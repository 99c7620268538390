"""
A driver that is not the limit: raw requests over kept connections.

A connection is a protocol and not a stream, and a request's head is made once: about
25 µs of the driver's own for a request (`python bench/load.py` shows it).
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count as counting
from typing import Any, cast

Json = dict[str, Any]
Requests = Callable[[int], bytes]


@dataclass(frozen=True)
class Result:
    """Requests a second, and their times in milliseconds."""

    rate: float
    p50: float
    p99: float
    failed: int
    count: int


class Connection(asyncio.Protocol):
    """One kept connection; a request at a time."""

    def __init__(self, port: int, path: str = "/graphql") -> None:
        self._port = port
        self._path = path
        self._heads: dict[str | None, bytes] = {}
        self._received = b""
        self._answer: asyncio.Future[bytes] | None = None

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(
            lambda: self, "127.0.0.1", self._port
        )
        self._transport = cast("asyncio.Transport", transport)

    async def post(self, body: bytes, token: str | None = None) -> bytes:
        head = self._heads.get(token) or self._head(token)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or not _is_whole(head.lower(), body) or self._answer is None:
            return
        self._received = b""
        self._answer.set_result(body)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError())

    def close(self) -> None:
        self._transport.close()

    def _head(self, token: str | None) -> bytes:
        credential = f"Authorization: Bearer {token}\r\n" if token else ""
        self._heads[token] = (
            f"POST {self._path} HTTP/1.1\r\nHost: localhost\r\n{credential}"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()
        return self._heads[token]


def _is_whole(head: bytes, body: bytes) -> bool:
    _, found, rest = head.partition(b"content-length:")
    if found:
        return len(body) >= int(rest.split(b"\r\n", 1)[0])
    # In chunks, as Node answers: their sizes are left among what is only searched.
    return body.endswith(b"0\r\n\r\n")


def encode(query: str, variables: Json) -> bytes:
    return json.dumps({"query": query, "variables": variables}).encode()


async def run(
    port: int,
    requests: Requests,
    *,
    connections: int,
    count: int | None = None,
    seconds: float | None = None,
    token: str | None = None,
    good: bytes = b'"data"',
    path: str = "/graphql",
) -> Result:
    """Send so many requests, or for so long, over so many connections; time each."""
    times: list[float] = []
    failed = 0
    began = time.perf_counter()
    numbers = _numbers(count, None if seconds is None else began + seconds)

    async def work() -> None:
        nonlocal failed
        connection = Connection(port, path)
        await connection.open()
        for number in numbers:
            sent = time.perf_counter()
            answer = await connection.post(requests(number), token)
            times.append((time.perf_counter() - sent) * 1000)
            failed += good not in answer or b'"errors":[{' in answer
        connection.close()

    await asyncio.gather(*(work() for _ in range(connections)))
    taken = time.perf_counter() - began
    times.sort()
    return Result(
        rate=len(times) / taken,
        p50=statistics.median(times),
        p99=times[int(len(times) * 0.99) - 1],
        failed=failed,
        count=len(times),
    )


def _numbers(count: int | None, until: float | None) -> Iterator[int]:
    for number in counting():
        late = until is not None and time.perf_counter() >= until
        if number == count or (late and number):
            return
        yield number


class _Echo(asyncio.Protocol):
    """The fastest server that there can be: what is left is the driver."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"data":}')


async def _main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    spent = time.process_time()
    result = await run(port, lambda _: b"{}", connections=16, seconds=3)
    spent = (time.process_time() - spent) / result.count * 1e6
    print(f"driver and echo in one process: {result.rate:.0f}/s, {spent:.0f} µs each")


if __name__ == "__main__":
    asyncio.run(_main())
