"""
Half an hour of logins, refreshes and admin pages at an even rate: what stays behind?

    python bench/soak.py [--count 100000] [--minutes 30] [--databases sqlite postgres]

One `hefu serve` on each database, both at once. A phone connects anew each time: it
logs in with a state and a verifier (two requests), or refreshes and asks who it is
(two). An administrator turns pages, with the cursor in the document: no two are the
same, and the cache of documents fills. Before that come logins alone and refreshes
alone: they warm the server up, and tell what one of them adds to the database.

Ends with status 1 where memory grows, where something is left behind or where a request
fails. SIGTERM ends it early: it tells what it has seen.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import csv
import hashlib
import json
import math
import secrets
import signal
import sqlite3
import statistics
import sys
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import httpx
import load
import resources
from house import Measured, databases, free_port, serving, stand_in
from prometheus_client.parser import text_string_to_metric_families

START = """
mutation($input: StartWecomMobileLoginInput!) {
  startWecomMobileLogin(input: $input) {
    ... on WecomMobileLoginRequest { state }
    ... on LoginFailure { code message }
  }
}
"""
LOGIN = """
mutation($input: WecomMobileLoginInput!) {
  wecomMobileLogin(input: $input) {
    ... on LoginSuccess { tokens { accessToken refreshToken } user { id displayName } }
    ... on LoginFailure { code message }
  }
}
"""
REFRESH = """
mutation($input: RefreshSessionInput!) {
  refreshSession(input: $input) {
    ... on RefreshedSession { tokens { accessToken refreshToken } }
    ... on LoginFailure { code message }
  }
}
"""
ME = load.encode("{ me { id displayName } }", {})
TURN = "pageInfo { endCursor }"
PAGES = (
    f"users(first: 20%s) {{ {TURN} nodes {{ id displayName identities {{ id }} }} }}",
    f"users(orderBy: {{field: LAST_LOGIN_AT}}%s) {{ {TURN} nodes {{ id }} }}",
    f"auditEvents(first: 20%s) {{ {TURN} nodes {{ id action message }} }}",
)
# How far an administrator turns pages before beginning anew.
TURNED = 30

MEMBERS = 1000
# Phones that refresh; whoever has logged in longer ago is not seen again.
PHONES = 5000
# Logins, and as many refreshes, before the clock starts.
ALONE = 1000
AT_ONCE = 16
SAMPLED_EVERY = 5.0
MIX = (*(("login", "refresh") * 4), "login", "page")
# Seconds at rest in which what is on its way out has gone.
REST = 12.0
# Of the time: caches fill, and the allocator finds its size.
WARM_UP = 1 / 3
# Of its memory, what a server may seem to grow in as many operations again.
FLAT = 0.02
MIB = 1024 * 1024


@dataclass(frozen=True)
class Sample:
    """What the server holds at a moment; bytes, and counts."""

    seconds: float
    operations: int
    rss: int
    pss: int
    uss: int
    descriptors: int
    to_wecom: int
    threads: int
    tasks: int
    lent: int
    connections: int
    in_transaction: int
    database: int


class Store(Protocol):
    """The database, seen from outside."""

    async def look(self, pids: Sequence[int]) -> tuple[int, int, int]:
        """Connections, transactions that stand open, bytes."""


class File:
    def __init__(self, path: str) -> None:
        self._path = path
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)

    async def look(self, pids: Sequence[int]) -> tuple[int, int, int]:
        connections = sum(resources.opened(pid, self._path) for pid in pids)
        # With what is still in the write-ahead log, and without what it has reserved.
        [pages] = self._connection.execute("PRAGMA page_count").fetchone()
        [size] = self._connection.execute("PRAGMA page_size").fetchone()
        return connections, 0, pages * size


class Server:
    _LOOK = """
    SELECT count(*), count(*) FILTER (WHERE state LIKE 'idle in transaction%'),
        pg_database_size('hefu')
    FROM pg_stat_activity WHERE datname = 'hefu' AND backend_type = 'client backend'
        AND pid <> pg_backend_pid()
    """

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def look(self, pids: Sequence[int]) -> tuple[int, int, int]:
        row = await self._connection.fetchrow(self._LOOK)
        assert row  # noqa: S101
        return row[0], row[1], row[2]


@contextlib.asynccontextmanager
async def store(url: str) -> AsyncGenerator[Store]:
    if url.startswith("sqlite://"):
        yield File(url.removeprefix("sqlite://"))
        return
    connection = await asyncpg.connect(url)
    try:
        yield Server(connection)
    finally:
        await connection.close()


class Failed(Exception):
    """An answer was not what was asked for."""


@dataclass
class Soak:
    """One server, whoever uses it, and what it was seen to hold."""

    name: str
    house: Measured
    metrics_port: int
    wecom_port: int
    store: Store
    enough: asyncio.Event
    samples: list[Sample] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._app_id, self._source = self.house.entrance()
        self._phones: deque[str] = deque(maxlen=PHONES)
        self._numbers = iter(range(10**9))
        self._pages = [Turning(each) for each in PAGES]
        self._began = time.monotonic()
        self._pids = resources.workers(self.house.pid) or [self.house.pid]

    async def login(self) -> None:
        number = next(self._numbers)
        verifier = secrets.token_urlsafe(32)
        digest = hashlib.sha256(verifier.encode()).digest()
        entrance = {"appId": self._app_id, "identitySource": self._source}
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        async with phone(self.house.port) as ask:
            started = await ask(
                load.encode(START, {"input": {**entrance, "codeChallenge": challenge}})
            )
            answer = await ask(
                load.encode(
                    LOGIN,
                    {
                        "input": {
                            **entrance,
                            "code": f"code-member{number % MEMBERS}-{number}",
                            "state": started["startWecomMobileLogin"]["state"],
                            "codeVerifier": verifier,
                        }
                    },
                )
            )
        self._phones.append(answer["wecomMobileLogin"]["tokens"]["refreshToken"])

    async def refresh(self) -> None:
        token = self._phones.popleft()
        async with phone(self.house.port) as ask:
            answer = await ask(load.encode(REFRESH, {"input": {"refreshToken": token}}))
            tokens = answer["refreshSession"]["tokens"]
            await ask(ME, tokens["accessToken"])
        self._phones.append(tokens["refreshToken"])

    async def page(self) -> None:
        turning = self._pages[next(self._numbers) % len(self._pages)]
        async with phone(self.house.port) as ask:
            answer = await ask(load.encode(turning.document(), {}), self.house.key)
        turning.turn(answer)

    async def run(
        self, mix: Sequence[str], count: int, rate: float | None = None
    ) -> None:
        """So many operations, of the kinds in `mix` by turns; evenly, if at a rate."""
        began = time.monotonic()
        free = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                if self.enough.is_set():
                    break
                if rate is not None:
                    await asyncio.sleep(began + number / rate - time.monotonic())
                await free.acquire()
                kind = mix[number % len(mix)]
                group.create_task(self._one(kind, free))

    async def _one(self, kind: str, free: asyncio.Semaphore) -> None:
        began = time.monotonic()
        act: Callable[[], Awaitable[None]] = getattr(self, kind)
        try:
            await act()
        except Exception as error:  # noqa: BLE001  Whatever it is, it is counted.
            self.failures[f"{kind}: {error!r}"[:200]] += 1
        else:
            self.done[kind] += 1
            self.times.append(time.monotonic() - began)
        finally:
            free.release()

    async def watch(self) -> None:
        while True:
            self.samples.append(await self.sample())
            await asyncio.sleep(SAMPLED_EVERY)

    async def at_rest(self) -> Sample:
        """The least that it holds when nobody asks it for anything."""
        seen: list[Sample] = []
        until = time.monotonic() + REST
        while time.monotonic() < until:
            await asyncio.sleep(2)
            seen.append(await self.sample())
        return min(seen, key=lambda each: each.descriptors + each.tasks)

    async def sample(self) -> Sample:
        holdings = [resources.held(pid) for pid in self._pids]
        levels = await self._levels()
        connections, in_transaction, size = await self.store.look(self._pids)
        return Sample(
            seconds=time.monotonic() - self._began,
            operations=self.done.total(),
            rss=sum(each.rss for each in holdings),
            pss=sum(each.pss for each in holdings),
            uss=sum(each.uss for each in holdings),
            descriptors=sum(each.descriptors for each in holdings),
            to_wecom=sum(
                resources.connected_to(pid, self.wecom_port) for pid in self._pids
            ),
            threads=sum(each.threads for each in holdings),
            tasks=levels["hefu_asyncio_tasks"],
            lent=levels["hefu_db_pool_in_use"],
            connections=connections,
            in_transaction=in_transaction,
            database=size,
        )

    async def _levels(self) -> dict[str, int]:
        async with httpx.AsyncClient(trust_env=False) as client:
            url = f"http://127.0.0.1:{self.metrics_port}/metrics"
            text = (await client.get(url)).text
        return {
            sample.name: int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


class Turning:
    """A list that somebody turns the pages of."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._name = field.partition("(")[0]
        self._after: str | None = None
        self._turned = 0

    def document(self) -> str:
        # An alias, so that the first page is another document each time, too.
        after = f', after: "{self._after}"' if self._after else ""
        return f"{{ p{secrets.token_hex(4)}: {self._field % after} }}"

    def turn(self, answer: dict[str, Any]) -> None:
        [page] = answer.values()
        self._turned += 1
        self._after = page["pageInfo"]["endCursor"]
        if self._turned % TURNED == 0:
            self._after = None


Ask = Callable[..., Awaitable[dict[str, Any]]]


@contextlib.asynccontextmanager
async def phone(port: int) -> AsyncGenerator[Ask]:
    """A connection of its own."""
    connection = load.Connection(port)
    await connection.open()

    async def ask(body: bytes, token: str | None = None) -> dict[str, Any]:
        async with asyncio.timeout(30):
            answer = json.loads(await connection.post(body, token))
        data = answer.get("data") or {}
        if "errors" in answer or any(value is None for value in data.values()):
            raise Failed(answer.get("errors", data))
        refused = [value["code"] for value in data.values() if "code" in value]
        if refused:
            raise Failed(refused)
        return data

    try:
        yield ask
    finally:
        connection.close()


def slope(samples: Sequence[Sample], of: str) -> float:
    """Least squares: what an operation adds."""
    if len(samples) < 2:
        return math.nan
    numbers = [each.operations for each in samples]
    values = [getattr(each, of) for each in samples]
    return statistics.linear_regression(numbers, values).slope


@dataclass(frozen=True)
class Verdict:
    """What is to be said at the end."""

    soak: Soak
    before: Sample
    after: Sample
    login_bytes: float
    refresh_bytes: float

    @property
    def warm(self) -> list[Sample]:
        """Without the time in which caches fill."""
        samples = self.soak.samples
        begin = samples[0].seconds + WARM_UP * (
            samples[-1].seconds - samples[0].seconds
        )
        return [each for each in samples if each.seconds >= begin]

    @property
    def growth(self) -> float:
        """Bytes of its own that as many operations again would add, by the slope."""
        span = self.soak.samples[-1].operations - self.soak.samples[0].operations
        return slope(self.warm, "uss") * span

    @property
    def is_flat(self) -> bool:
        return self.growth < FLAT * statistics.median(each.uss for each in self.warm)

    def left(self) -> dict[str, int]:
        """What the server has at rest and had not before; idle connections aside."""
        before, after = self.before, self.after
        # Connections that are kept: to WeCom until one is needed again, to PostgreSQL
        # for five minutes.
        descriptors = after.descriptors - after.to_wecom
        descriptors -= before.descriptors - before.to_wecom
        if isinstance(self.soak.store, Server):
            descriptors -= after.connections - before.connections
        return {
            "descriptors": descriptors,
            "threads": after.threads - before.threads,
            "tasks": after.tasks - before.tasks,
            "lent connections": after.lent,
            "open transactions": after.in_transaction,
        }

    @property
    def is_well(self) -> bool:
        gone = all(value <= 0 for value in self.left().values())
        return self.is_flat and gone and not self.soak.failures

    def lines(self) -> list[str]:
        soak = self.soak
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in soak.done.items())
        failures = [f"{n} × {what}" for what, n in soak.failures.most_common(5)]
        told = [*self._pace(), *self._memory(), *self._held(), *self._size(), *failures]
        return [
            f"{soak.name}: {kinds}; {soak.failures.total()} failed",
            *(f"  {line}" for line in told),
        ]

    def _pace(self) -> list[str]:
        first, last = self.soak.samples[0], self.soak.samples[-1]
        minutes = (last.seconds - first.seconds) / 60
        times = sorted(each * 1000 for each in self.soak.times)
        p50, p99 = statistics.median(times), times[int(len(times) * 0.99) - 1]
        return [f"in {minutes:.1f} minutes; p50 {p50:.0f} ms, p99 {p99:.0f} ms"]

    def _memory(self) -> list[str]:
        levels = [
            f"{of}: at rest {getattr(self.before, of) / MIB:.1f} MiB, in thirds"
            f" {thirds(self.soak.samples, of)} MiB, at rest"
            f" {getattr(self.after, of) / MIB:.1f} MiB"
            for of in ("rss", "pss", "uss")
        ]
        per_thousand = slope(self.warm, "uss") * 1000 / 1024
        word = "flat" if self.is_flat else "NOT FLAT"
        verdict = (
            f"slope after warm-up {per_thousand:+.2f} KiB for 1,000 operations,"
            f" {self.growth / MIB:+.1f} MiB for as many again: {word}"
        )
        return [*levels, verdict]

    def _held(self) -> list[str]:
        most = {
            of: max(getattr(each, of) for each in self.soak.samples)
            for of in ("descriptors", "threads", "tasks", "connections")
        }
        return [f"most at a time: {_listed(most)}", f"left: {_listed(self.left())}"]

    def _size(self) -> list[str]:
        first, last = self.soak.samples[0], self.soak.samples[-1]
        grown = (last.database - first.database) / (last.operations - first.operations)
        sizes = f"{first.database / MIB:.1f} to {last.database / MIB:.1f} MiB"
        alone = f"{self.login_bytes:.0f} bytes, a refresh {self.refresh_bytes:.0f}"
        told = (
            f"database: {sizes}, {grown:.0f} bytes an operation; a login adds {alone}"
        )
        return [told]


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def thirds(samples: Sequence[Sample], of: str) -> str:
    third = max(len(samples) // 3, 1)
    parts = [samples[:third], samples[third : 2 * third], samples[2 * third :]]
    return ", ".join(
        f"{statistics.median(getattr(each, of) for each in part) / MIB:.1f}"
        for part in parts
        if part
    )


async def soaked(soak: Soak, options: argparse.Namespace) -> Verdict:
    alone = min(ALONE, options.count)
    # Every member's first login makes an account: not what is measured.
    await soak.run(["login"], min(MEMBERS, options.count))
    sizes = [(await soak.sample()).database]
    for kind in ("login", "refresh"):
        await soak.run([kind], alone)
        sizes.append((await soak.sample()).database)
    await soak.run(["page"], 3 * TURNED)
    before = await soak.at_rest()
    soak.done.clear()
    soak.times.clear()
    watching = asyncio.create_task(soak.watch())
    await soak.run(MIX, options.count, options.count / (options.minutes * 60))
    watching.cancel()
    after = await soak.at_rest()
    return Verdict(
        soak,
        before,
        after,
        (sizes[1] - sizes[0]) / alone,
        (sizes[2] - sizes[1]) / alone,
    )


async def told(soak: Soak) -> None:
    """A line each minute, for whoever waits."""
    while True:
        await asyncio.sleep(60)
        if not soak.samples:
            continue
        last = soak.samples[-1]
        sys.stderr.write(
            f"{soak.name}: {last.operations} operations,"
            f" {soak.failures.total()} failed,"
            f" uss {last.uss / MIB:.1f} MiB, {last.descriptors} descriptors,"
            f" {last.tasks} tasks, {last.connections} connections,"
            f" database {last.database / MIB:.1f} MiB\n"
        )


@dataclass(frozen=True)
class Running:
    """A server to be watched."""

    name: str
    url: str
    house: Measured
    metrics_port: int
    wecom_port: int


@contextlib.contextmanager
def started(
    urls: dict[str, str], wecom: int, options: argparse.Namespace
) -> Generator[list[Running]]:
    """A server on each database, as `runtime.md` has it, with metrics."""
    running: list[Running] = []
    with contextlib.ExitStack() as stack:
        for name in options.databases:
            port = free_port()
            house = serving(
                urls[name],
                wecom,
                options.workers,
                HEFU_METRICS_LISTEN=f"127.0.0.1:{port}",
                # Counted, as by default, and never met.
                HEFU_RATE_LIMIT_ADDRESS="10000000/min",
                HEFU_RATE_LIMIT_SOURCE="10000000/min",
            )
            running.append(
                Running(name, urls[name], stack.enter_context(house), port, wecom)
            )
        yield running


async def one(
    server: Running, options: argparse.Namespace, enough: asyncio.Event
) -> Verdict:
    async with store(server.url) as seen:
        soak = Soak(
            server.name,
            server.house,
            server.metrics_port,
            server.wecom_port,
            seen,
            enough,
        )
        telling = asyncio.create_task(told(soak))
        try:
            return await soaked(soak, options)
        finally:
            telling.cancel()
            keep(soak, options.samples)


def keep(soak: Soak, folder: Path | None) -> None:
    if folder is None or not soak.samples:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{soak.name}.csv").open("w") as file:
        writer = csv.writer(file)
        writer.writerow(asdict(soak.samples[0]))
        writer.writerows(astuple(each) for each in soak.samples)


async def all_at_once(
    servers: Sequence[Running], options: argparse.Namespace
) -> list[Verdict]:
    enough = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, enough.set)
    return await asyncio.gather(*(one(each, options, enough) for each in servers))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=100_000, help="on each database")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--workers", type=int, default=1)
    names = ["sqlite", "postgres"]
    parser.add_argument("--databases", nargs="+", choices=names, default=names)
    parser.add_argument("--samples", type=Path, help="a folder for CSV files")
    options = parser.parse_args()
    # Ended while it starts, it ends its servers, too; later, it tells what it has seen.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        stand_in() as wecom,
        databases(*options.databases) as urls,
        started(urls, wecom, options) as servers,
    ):
        verdicts = asyncio.run(all_at_once(servers, options))
    for verdict in verdicts:
        print("\n".join(verdict.lines()))
    return 0 if all(verdict.is_well for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
