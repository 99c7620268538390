"""
Lists: a page's cost wherever it lies in a million accounts, and of nested pages.

    python bench/lists.py [--users 1000000] [--count 300] [--database sqlite postgres]

Page 1 and the last one are asked for in turns, so that whatever else the machine does
meets both; 50 sources with three apps each are what a console begins with.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import load
from house import Measured, databases, free_port, serving

from models import database

# As many are inserted by one statement, and logged in last in one hour.
AT_ONCE = 10_000
NUMBERS = {
    "sqlite": "WITH RECURSIVE s(n) AS (SELECT $1 UNION ALL SELECT n + 1 FROM s"
    " WHERE n + 1 < $2)",
    "postgres": "WITH s(n) AS (SELECT generate_series($1::bigint, $2::bigint - 1))",
}
ID = {
    "sqlite": "printf('%08x-%04x-7000-8000-000000000000', n / 65536, n % 65536)",
    "postgres": "(lpad(to_hex(n / 65536), 8, '0') || '-'"
    " || lpad(to_hex(n % 65536), 4, '0') || '-7000-8000-000000000000')::uuid",
}
# A multiple of a number prime to a million: usernames run unlike ids.
USERS = """
{numbers} INSERT INTO users (id, username, username_key, display_name,
    display_name_key, role, status, created_at, updated_at, last_login_at,
    last_login_hour)
SELECT {id}, 'user-' || (n * 7919 % 1000003), 'user-' || (n * 7919 % 1000003),
    'User ' || n, 'user ' || n, 'MEMBER', 'ACTIVE', $3, $3, $4, $4 FROM s
"""
PAGE = """
query($first: Int, $after: String, $last: Int, $before: String,
      $filter: UserFilter, $orderBy: UserOrder) {
  users(first: $first, after: $after, last: $last, before: $before,
        filter: $filter, orderBy: $orderBy) {
    nodes { id username displayName email role status lastLoginAt }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
NESTED = """
{ identitySources(first: 50) {
    nodes { id identifier displayName apps(first: 3) { nodes { id name } } }
    pageInfo { hasNextPage endCursor }
} }
"""
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
SIZE = 50


async def fill(url: str, count: int) -> None:
    """So many accounts, oldest first, a year's worth of logins."""
    async with database.opened(url):
        dialect = database.dialect()
        sql = USERS.format(numbers=NUMBERS[dialect], id=ID[dialect])
        for first in range(0, count, AT_ONCE):
            hour = BEGAN + timedelta(hours=first // AT_ONCE * 7 % 1000)
            last = min(first + AT_ONCE, count)
            await database.fetch(sql, first, last, BEGAN, hour)
        await database.fetch("ANALYZE")


def ends(house: Measured, order: str) -> list[tuple[str, bytes]]:
    """The first page and the last one, by both ways that lead there."""
    by = {"orderBy": {"field": order}}

    def page(**part: object) -> dict[str, str]:
        return house.ask(PAGE, {**part, **by})["users"]["pageInfo"]

    begin, end = page(first=1), page(last=SIZE + 1)
    return [
        (name, load.encode(PAGE, {**part, **by}))
        for name, part in (
            ("first", {"first": SIZE}),
            ("last", {"last": SIZE}),
            ("first, after", {"first": SIZE, "after": begin["endCursor"]}),
            ("last, after", {"first": SIZE, "after": end["startCursor"]}),
        )
    ]


async def in_turns(house: Measured, bodies: Sequence[bytes], count: int) -> list[float]:
    """The median of each one's times, in milliseconds."""
    connection = load.Connection(house.port)
    await connection.open()
    times: list[list[float]] = [[] for _ in bodies]
    for _ in range(count):
        for body, into in zip(bodies, times, strict=True):
            began = time.perf_counter()
            answer = json.loads(await connection.post(body, house.key))
            into.append((time.perf_counter() - began) * 1000)
            if len(answer["data"]["users"]["nodes"]) != SIZE:
                raise RuntimeError(answer)
    connection.close()
    return [statistics.median(each) for each in times]


def ask_for_ends(house: Measured, name: str, count: int) -> None:
    for order in ("CREATED_AT", "USERNAME", "LAST_LOGIN_AT"):
        pages = ends(house, order)
        asyncio.run(in_turns(house, [body for _, body in pages], 10))
        found = asyncio.run(in_turns(house, [body for _, body in pages], count))
        told = "  ".join(
            f"{page}: {milliseconds:.2f} ms"
            for (page, _), milliseconds in zip(pages, found, strict=True)
        )
        ratio = max(found) / min(found)
        print(f"{name:9} {order:14} {told}  factor {ratio:.2f}", flush=True)


def ask_for_nested(house: Measured, name: str, count: int) -> None:
    for number in range(50):
        source = house.source(f"source-{number}")
        for each in range(3):
            app = house.app(f"App {number}.{each}")
            house.associate(app, source)
    body = load.encode(NESTED, {})
    for connections in (1, 16):
        cpu = house.cpu()
        result = asyncio.run(
            load.run(
                house.port,
                lambda _: body,
                count=count,
                connections=connections,
                token=house.key,
            )
        )
        cpu = (house.cpu() - cpu) / count * 1000
        print(
            f"{name:9} 50 sources with 3 apps each, {connections} at once:"
            f" {result.rate:.0f} pages/s, {cpu:.1f} ms of CPU each,"
            f" p50 {result.p50:.1f} ms, p99 {result.p99:.1f} ms,"
            f" failed {result.failed}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--database", nargs="+", default=["sqlite", "postgres"])
    options = parser.parse_args()
    for name in options.database:
        with (
            databases(name) as urls,
            serving(urls[name], free_port()) as house,
        ):
            asyncio.run(fill(urls[name], options.users))
            ask_for_ends(house, name, options.count)
            ask_for_nested(house, name, options.count)


if __name__ == "__main__":
    main()
