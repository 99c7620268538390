"""
Refreshes a second and `me` a second: one process, SQLite and PostgreSQL.

    python bench/sessions.py [--count 2000] [--connections 16]

Each connection is a phone with a session of its own: it refreshes with the token that
its last refresh gave it. `me` is asked with one access token each, as often.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import load
from house import Measured, databases, serving, stand_in

LOGIN = """
mutation($input: WecomMobileLoginInput!) {
  wecomMobileLogin(input: $input) {
    ... on LoginSuccess { tokens { accessToken refreshToken } }
    ... on LoginFailure { code message }
  }
}
"""
REFRESH = """
mutation($input: RefreshSessionInput!) {
  refreshSession(input: $input) {
    ... on RefreshedSession {
      session { id expiresAt }
      tokens { accessToken expiresIn refreshToken refreshExpiresIn }
    }
    ... on LoginFailure { code message }
  }
}
"""
ME = load.encode("{ me { id displayName } }", {})


class Phone:
    """A session, and a connection that is kept."""

    def __init__(self, port: int) -> None:
        self._connection = load.Connection(port)

    async def log_in(self, app_id: str, source: str, number: int) -> None:
        await self._connection.open()
        code = f"code-member{number}-{number}"
        input = {"appId": app_id, "identitySource": source, "code": code}
        data = await self._ask(load.encode(LOGIN, {"input": input}))
        self._tokens = data["wecomMobileLogin"]["tokens"]

    async def refresh(self) -> None:
        input = {"refreshToken": self._tokens["refreshToken"]}
        data = await self._ask(load.encode(REFRESH, {"input": input}))
        self._tokens = data["refreshSession"]["tokens"]

    async def me(self) -> None:
        data = await self._ask(ME, self._tokens["accessToken"])
        if not data["me"]:
            raise RuntimeError("Nobody.")

    async def _ask(self, body: bytes, token: str | None = None) -> Any:
        answer = json.loads(await self._connection.post(body, token))
        return answer["data"]


async def measured(
    house: Measured,
    phones: list[Phone],
    act: Callable[[Phone], Awaitable[None]],
    count: int,
) -> str:
    """As many a second, their times in ms, and the server's CPU for each in µs."""
    times: list[float] = []
    numbers = iter(range(count))

    async def work(phone: Phone) -> None:
        for _ in numbers:
            began = time.perf_counter()
            await act(phone)
            times.append((time.perf_counter() - began) * 1000)

    cpu, began = house.cpu(), time.perf_counter()
    await asyncio.gather(*(work(phone) for phone in phones))
    seconds, cpu = time.perf_counter() - began, house.cpu() - cpu
    times.sort()
    p50, p99 = statistics.median(times), times[int(len(times) * 0.99) - 1]
    return f"{count / seconds:9.0f} {p50:8.1f} {p99:8.1f} {cpu / count * 1e6:8.0f}"


async def run(house: Measured, name: str, count: int, connections: int) -> None:
    app_id, source = house.entrance(requireState=False)
    phones = [Phone(house.port) for _ in range(connections)]
    for number, phone in enumerate(phones):
        await phone.log_in(app_id, source, number)
    for what, act in (("refresh", Phone.refresh), ("me", Phone.me)):
        await measured(house, phones, act, connections * 4)  # Warm.
        figures = await measured(house, phones, act, count)
        print(f"{name:10} {what:8} {connections:11} {figures}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--connections", type=int, nargs="+", default=[16, 64])
    options = parser.parse_args()
    print("database   request  connections  a second   p50 ms   p99 ms   CPU µs")
    for connections in options.connections:
        for name in ("sqlite", "postgres"):
            with (
                stand_in() as wecom,
                databases(name) as urls,
                serving(urls[name], wecom) as house,
            ):
                asyncio.run(run(house, name, options.count, connections))


if __name__ == "__main__":
    main()
