"""A driver that is not the limit: raw requests over kept connections."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """Requests a second, and their times in milliseconds."""

    rate: float
    p50: float
    p99: float
    failed: int


class Connection:
    """One kept connection; a request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port
        )

    async def post(self, body: bytes, token: str | None = None) -> bytes:
        credential = f"Authorization: Bearer {token}\r\n" if token else ""
        self._writer.write(
            (
                "POST /graphql HTTP/1.1\r\nHost: localhost\r\n"
                f"{credential}Content-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            ).encode()
            + body
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        return await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


def encode(query: str, variables: Json) -> bytes:
    return json.dumps({"query": query, "variables": variables}).encode()


async def run(
    port: int,
    requests: Callable[[int], bytes],
    *,
    count: int,
    connections: int,
    token: str | None = None,
    good: bytes = b'"data"',
) -> Result:
    """Send `count` requests over so many connections, and time each."""
    numbers = iter(range(count))
    times: list[float] = []
    failed = 0

    async def work() -> None:
        nonlocal failed
        connection = Connection(port)
        await connection.open()
        for number in numbers:
            began = time.perf_counter()
            answer = await connection.post(requests(number), token)
            times.append((time.perf_counter() - began) * 1000)
            failed += good not in answer or b'"errors":[{' in answer
        connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(connections)))
    seconds = time.perf_counter() - began
    times.sort()
    return Result(
        rate=count / seconds,
        p50=statistics.median(times),
        p99=times[int(len(times) * 0.99) - 1],
        failed=failed,
    )
