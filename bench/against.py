"""
Hefu beside what people would use instead: the goals, each as a ratio of one run.

    scripts/bench [--rounds 7] [--seconds 2] [--users 1000000] [--only logins lists …]

Everything runs on this machine, a process each. The contestants of a goal take turns,
and what is compared are medians of their rounds: whatever else the machine does meets
them all. Beside requests a second stands the CPU that the server itself spent on one,
which other people's work hardly changes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import floor
import httpx
import lists
import load
from house import Measured, cpu, databases, serving, stand_in
from load import Requests, Result
from login import LOGIN
from others import CACHE, Node, served

MEMBERS = 200
SOURCES = 1000
ME = "{ me { id username displayName email role status createdAt } }"
TYPENAME = "{ __typename }"
REFRESH = """
mutation($input: RefreshSessionInput!) {
  refreshSession(input: $input) { ... on RefreshedSession { tokens { refreshToken } } }
}
"""
POSTGRAPHILE = """
{ allIdentitySources(first: 50) {
    nodes { rowId identifier displayName
      associationsByIdentitySourceId(first: 3) { nodes { appByAppId { rowId name } } } }
    pageInfo { hasNextPage endCursor }
} }
"""
YOGA = """
{ identitySources(first: 50) {
    nodes { id identifier displayName apps(first: 3) { nodes { id name } } }
    pageInfo { hasNextPage endCursor }
} }
"""

FLOORS = {
    "bare": "the floor",
    "httpx": "the floor, WeCom called by httpx",
    "graphql": "the floor, by httpx and behind GraphQL",
    "reserved": "the floor, so and with the code reserved",
    "together": "the floor, so and each moment's statements as one",
}


class Server(Protocol):
    @property
    def port(self) -> int: ...

    def cpu(self) -> float: ...


@dataclass
class Contestant:
    """Whoever takes part in a goal, and how each of its rounds went."""

    name: str
    server: Server
    requests: Requests
    token: str | None = None
    good: bytes = b'"data"'
    path: str = "/graphql"
    rounds: list[Result] = field(default_factory=list[Result])
    cpus: list[float] = field(default_factory=list[float])

    async def take(self, connections: int, seconds: float) -> None:
        before = self.server.cpu()
        result = await load.run(
            self.server.port,
            self.requests,
            connections=connections,
            seconds=seconds,
            token=self.token,
            good=self.good,
            path=self.path,
        )
        if result.failed:
            raise RuntimeError(f"{self.name}: {result.failed} of {result.count} failed")
        self.rounds.append(result)
        self.cpus.append((self.server.cpu() - before) / result.count * 1e6)

    @property
    def rate(self) -> float:
        return statistics.median(each.rate for each in self.rounds)

    @property
    def p50(self) -> float:
        return statistics.median(each.p50 for each in self.rounds)

    @property
    def p99(self) -> float:
        return statistics.median(each.p99 for each in self.rounds)

    @property
    def cpu(self) -> float:
        return statistics.median(self.cpus)


@dataclass(frozen=True)
class Pace:
    rounds: int
    seconds: float

    def take_turns(self, connections: int, *contestants: Contestant) -> None:
        """Rounds of everybody in turns, after one that counts for nobody."""
        for each in contestants:
            asyncio.run(each.take(connections, min(self.seconds, 1)))
            each.rounds.clear()
            each.cpus.clear()
        for number in range(self.rounds):
            # Whoever comes first one time comes last the next.
            order = contestants if number % 2 else contestants[::-1]
            for each in order:
                asyncio.run(each.take(connections, self.seconds))


# ------------------------------------------------------------ what is printed


def title(text: str) -> None:
    print(f"\n## {text}\n")
    print("| | requests/s | p50 ms | p99 ms | CPU µs of the server |")
    print("| --- | ---: | ---: | ---: | ---: |", flush=True)


def show(*contestants: Contestant) -> None:
    for each in contestants:
        print(
            f"| {each.name} | {each.rate:.0f} | {each.p50:.1f} | {each.p99:.1f}"
            f" | {each.cpu:.0f} |"
        )
    print(flush=True)


def goal(name: str, ratio: float, wanted: float, *, most: bool = False) -> None:
    """`wanted` is the least that counts, or the most."""
    reached = ratio <= wanted if most else ratio >= wanted
    sign = "≤" if most else "≥"
    told = "reached" if reached else "**not reached**"
    print(f"- {name}: **{ratio:.2f}** (goal {sign} {wanted}: {told})", flush=True)


def compare(name: str, ours: Contestant, other: Contestant, wanted: float) -> None:
    goal(f"{name}, requests/s against {other.name}", ours.rate / other.rate, wanted)
    print(f"  - by the servers' CPU: {other.cpu / ours.cpu:.2f}", flush=True)


def bound(barest: Contestant, other: Contestant) -> None:
    """What the barest server reaches beside it, in the same run."""
    by_requests, by_cpu = barest.rate / other.rate, other.cpu / barest.cpu
    told = f"{by_requests:.2f} by requests/s, {by_cpu:.2f} by CPU"
    print(f"- {barest.name} against {other.name}: {told}", flush=True)


# ------------------------------------------------------------------ the goals


def logins(pace: Pace, node: Node, dialect: str) -> None:
    """Goals 1 and 2."""
    with ExitStack() as stack:
        wecom = stack.enter_context(stand_in())
        urls = stack.enter_context(databases(dialect))
        house = stack.enter_context(serving(urls[dialect], wecom))
        peer = stack.enter_context(
            node.serving(
                "better_auth",
                f"http://127.0.0.1:{wecom}",
                dialect,
                _place(urls, dialect),
            )
        )
        all_of_them = [
            Contestant("Hefu", house, hefu_logins(house), good=b'"LoginSuccess"'),
            Contestant(
                "better-auth",
                peer,
                codes(),
                good=b'"token"',
                path="/api/auth/wecom/login",
            ),
        ]
        place = urls[dialect]
        if dialect == "postgres":
            asyncio.run(floor.prepare(place))
        else:
            place = _beside(place, "floor.db")
            floor.prepare_file(place)
        for step, name in FLOORS.items():
            if step == "together" and dialect == "sqlite":
                continue
            server = stack.enter_context(_floor(step, place, wecom))
            asked = codes() if step in {"bare", "httpx"} else in_graphql("app", "bench")
            all_of_them.append(Contestant(name, server, asked))
        for each in all_of_them:
            asyncio.run(_first_logins(each))
        for connections in (16, 64):
            title(f"Returning logins on {dialect}, {connections} connections")
            ours, theirs, *floors = contestants = list(map(_anew, all_of_them))
            pace.take_turns(connections, *contestants)
            show(*contestants)
            wanted = 3 if dialect == "postgres" else 2
            compare(f"{dialect}, {connections} connections", ours, theirs, wanted)
            if dialect == "postgres":
                goal("p99 against better-auth", ours.p99 / theirs.p99, 0.5, most=True)
            for each in floors:
                bound(each, theirs)


@contextmanager
def _floor(step: str, place: str, wecom: int) -> Generator[Server]:
    given = {
        "FLOOR_STEP": step,
        "FLOOR_DATABASE": place,
        "FLOOR_WECOM": str(wecom),
    }
    with served("bench.floor:create_app", **given) as server:
        yield server


def hefu_logins(house: Measured) -> Requests:
    return in_graphql(*house.entrance(requireState=False))


def in_graphql(app_id: str, source: str) -> Requests:
    numbered = _numbered()

    def request(_: int) -> bytes:
        _, code = next(numbered)
        input = {"appId": app_id, "identitySource": source, "code": code}
        return load.encode(LOGIN, {"input": input})

    return request


def codes() -> Requests:
    numbered = _numbered()
    return lambda _: json.dumps({"code": next(numbered)[1]}).encode()


def _numbered() -> Generator[tuple[int, str]]:
    """Codes of members in turn: no code twice, whoever asks."""
    number = 0
    while True:
        yield number, f"code-member{number % MEMBERS}-{number}"
        number += 1


async def _first_logins(contestant: Contestant) -> None:
    await load.run(
        contestant.server.port,
        contestant.requests,
        count=MEMBERS,
        connections=8,
        good=contestant.good,
        path=contestant.path,
    )


def _anew(contestant: Contestant) -> Contestant:
    return Contestant(
        contestant.name,
        contestant.server,
        contestant.requests,
        contestant.token,
        contestant.good,
        contestant.path,
    )


def nested_lists(pace: Pace, node: Node) -> None:
    """Goal 3."""
    with ExitStack() as stack:
        wecom = stack.enter_context(stand_in())
        urls = stack.enter_context(databases("postgres"))
        house = stack.enter_context(serving(urls["postgres"], wecom))
        asyncio.run(fill_sources(urls["postgres"]))
        folder = _place(urls, "postgres")
        postgraphile = stack.enter_context(
            node.serving("postgraphile", folder, path="/graphql")
        )
        yoga = stack.enter_context(node.serving("yoga", folder, path="/graphql"))

        def asking(query: str) -> Requests:
            body = load.encode(query, {})
            return lambda _: body

        barest = stack.enter_context(_floor("lists", urls["postgres"], wecom))

        ours = Contestant("Hefu", house, asking(lists.NESTED), house.key)
        first = Contestant("PostGraphile", postgraphile, asking(POSTGRAPHILE))
        second = Contestant("graphql-yoga, SQL by hand", yoga, asking(YOGA))
        third = Contestant("the floor", barest, asking(lists.NESTED))
        title("A page of 50 of 1,000 sources with three apps each, 16 connections")
        pace.take_turns(16, ours, first, second, third)
        show(ours, first, second, third)
        compare("lists", ours, first, 4)
        compare("lists", ours, second, 0.7)
        bound(third, first)


async def fill_sources(url: str) -> None:
    """A thousand sources, and three apps that each of them serves."""
    from models import App, Association, IdentitySource, database, ids  # noqa: PLC0415

    now = lists.BEGAN
    stamped: dict[str, Any] = {"created_at": now, "updated_at": now}
    async with database.opened(url):
        sources, apps = (
            [
                IdentitySource(
                    id=ids.new(),
                    identifier=f"source-{number}",
                    display_name=f"Source {number}",
                    display_name_key=f"source {number}",
                    corp_id="wwbench",
                    agent_id="1000001",
                    schema="wwauthbench000001",
                    secret_sealed=b"",
                    secret_key_id="none",
                    secret_hint="****",
                    secret_updated_at=now,
                    **stamped,
                )
                for number in range(SOURCES)
            ],
            [
                App(
                    id=ids.new(),
                    name=f"App {number}",
                    name_key=f"app {number}",
                    **stamped,
                )
                for number in range(SOURCES * 3)
            ],
        )
        await IdentitySource.bulk_create(sources, batch_size=500)
        await App.bulk_create(apps, batch_size=500)
        await Association.bulk_create(
            [
                Association(
                    id=ids.new(),
                    identity_source_id=sources[number // 3].id,
                    app_id=app.id,
                    created_at=now,
                )
                for number, app in enumerate(apps)
            ],
            batch_size=500,
        )
        await database.fetch("ANALYZE")


def small_queries(pace: Pace) -> None:
    """Goal 4."""
    with ExitStack() as stack:
        wecom = stack.enter_context(stand_in())
        urls = stack.enter_context(databases("postgres"))
        house = stack.enter_context(serving(urls["postgres"], wecom))
        route = stack.enter_context(served("bench.peers.starlette_route:create_app"))
        typename, me = load.encode(TYPENAME, {}), load.encode(ME, {})
        token = log_in(house, hefu_logins(house))["accessToken"]
        plain = Contestant("Starlette's JSON route", route, lambda _: typename)
        ours = Contestant("Hefu, `{ __typename }`", house, lambda _: typename)
        mine = Contestant("Hefu, `me`", house, lambda _: me, token)
        title("Small queries, 16 connections")
        pace.take_turns(16, plain, ours, mine)
        show(plain, ours, mine)
        compare("`{ __typename }`", ours, plain, 0.8)
        compare("`me`", mine, plain, 0.5)


def log_in(house: Measured, requests: Requests) -> dict[str, str]:
    """One member's tokens."""
    answer = httpx.post(
        f"http://127.0.0.1:{house.port}/graphql",
        content=requests(0),
        headers={"Content-Type": "application/json"},
    ).json()
    tokens: dict[str, str] = answer["data"]["wecomMobileLogin"]["tokens"]
    return tokens


def long_lists(pace: Pace, users: int) -> None:
    """Goal 5."""
    with ExitStack() as stack:
        contestants: list[tuple[str, Contestant, Contestant]] = []
        houses: list[Measured] = []
        for count in (100, users):
            wecom = stack.enter_context(stand_in())
            urls = stack.enter_context(databases("postgres"))
            houses.append(stack.enter_context(serving(urls["postgres"], wecom)))
            asyncio.run(lists.fill(urls["postgres"], count))
        few, many = houses
        for order in ("CREATED_AT", "USERNAME", "LAST_LOGIN_AT"):
            pairs = zip(lists.ends(few, order), lists.ends(many, order), strict=True)
            for (name, at_few), (_, at_many) in pairs:
                contestants.append(
                    (
                        f"{order}, {name}",
                        _page(few, "100 users", at_few),
                        _page(many, f"{users} users", at_many),
                    )
                )
        worst = 0.0
        title(f"A page of 50 of 100 and of {users} users, 1 connection")
        for name, small, large in contestants:
            # A request of the one, then of the other, or nearly so: what is compared
            # is too alike for whole seconds of another load.
            Pace(pace.rounds * 8, 0.05).take_turns(1, small, large)
            small.name, large.name = (f"{name}: {each.name}" for each in (small, large))
            worst = max(worst, large.p50 / small.p50)
            for each in (small, large):
                print(
                    f"| {each.name} | {each.rate:.0f} | {each.p50:.2f}"
                    f" | {each.p99:.2f} | {each.cpu:.0f} |"
                )
        print()
        goal(f"p50 at {users} users against 100, the worst", worst, 1.3, most=True)


def _page(house: Measured, name: str, body: bytes) -> Contestant:
    return Contestant(name, house, lambda _: body, house.key)


def workers(pace: Pace) -> None:
    """Goal 6."""
    for dialect in ("postgres", "sqlite"):
        with ExitStack() as stack:
            wecom = stack.enter_context(stand_in())
            one, two = (
                stack.enter_context(_by_workers(count, dialect, wecom))
                for count in (1, 2)
            )
            names = f"{dialect} by one worker and by two"
            title(f"Returning logins on {names}, 64 connections")
            pace.take_turns(64, one.contestant, two.contestant)
            show(one.contestant, two.contestant)
            ratio = two.contestant.rate / one.contestant.rate
            goal(f"{dialect}, two workers against one", ratio, 1.7)
            whole = one.tell_costs()
            two.tell_costs()
            rate = one.contestant.rounds[-1].rate
            most = min(2, len(os.sched_getaffinity(0)) * 1e6 / whole / rate)
            print(f"  - if all cores did nothing else: {most:.2f}", flush=True)


@dataclass(frozen=True)
class Shared:
    """A server, and who shares the machine with it."""

    contestant: Contestant
    others: dict[str, Callable[[], float]]

    def tell_costs(self) -> float:
        """Microseconds of CPU that one more round's logins cost, each, in all."""
        used = {"the server": self.contestant.server.cpu, **self.others}
        before = {who: told() for who, told in used.items()}
        asyncio.run(self.contestant.take(64, 2))
        count = self.contestant.rounds[-1].count
        spent = {who: (used[who]() - before[who]) / count * 1e6 for who in used}
        told = ", ".join(f"{who} {each:.0f}" for who, each in spent.items())
        print(f"  - CPU µs a login, {self.contestant.name}: {told}", flush=True)
        return sum(spent.values())


@contextmanager
def _by_workers(count: int, dialect: str, wecom: int) -> Generator[Shared]:
    with (
        databases(dialect) as urls,
        serving(urls[dialect], wecom, workers=count) as house,
    ):
        name = f"{count} worker{'s' * (count > 1)}"
        logins = hefu_logins(house)
        contestant = Contestant(name, house, logins, good=b'"LoginSuccess"')
        asyncio.run(_first_logins(contestant))
        others = {
            "WeCom's stand-in": StandIn(wecom).cpu,
            "the clients": time.process_time,
        }
        if dialect == "postgres":
            place = Path(_place(urls, dialect)) / "postmaster.pid"
            postmaster = int(place.read_text().split()[0])
            others["PostgreSQL"] = partial(cpu, postmaster)
        yield Shared(contestant, others)


def upstream() -> None:
    """Goal 7."""
    with ExitStack() as stack:
        wecom = stack.enter_context(stand_in())
        urls = stack.enter_context(databases("postgres"))
        house = stack.enter_context(serving(urls["postgres"], wecom))
        ours = Contestant("Hefu", house, hefu_logins(house), good=b'"LoginSuccess"')
        asyncio.run(_first_logins(ours))
        before = calls(wecom)
        asyncio.run(_first_logins(ours))
        returning = difference(before, calls(wecom))
        tokens, before = log_in(house, ours.requests), calls(wecom)
        for _ in range(10):
            input = {"refreshToken": tokens["refreshToken"]}
            answer = house.ask(REFRESH, {"input": input})
            tokens = answer["refreshSession"]["tokens"]
        refreshed = difference(before, calls(wecom))
        print("\n## Calls to WeCom\n")
        each = sum(returning.values()) / MEMBERS
        goal("calls for a returning login", each, 2, most=True)
        goal("calls for ten refreshes", sum(refreshed.values()), 0, most=True)
        goal("gettoken in the whole run", calls(wecom)["gettoken"], 1, most=True)


def calls(wecom: int) -> dict[str, int]:
    told: dict[str, int] = httpx.get(f"http://127.0.0.1:{wecom}/calls").json()
    return told


def difference(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in after.items()}


def instruments(pace: Pace) -> None:
    """Neither the driver nor WeCom's stand-in is the limit."""
    with stand_in() as wecom:
        server = StandIn(wecom)
        requests = Contestant(
            "WeCom's stand-in, by this driver",
            server,
            lambda _: b"",
            good=b'"UserId"',
            path="/cgi-bin/user/getuserinfo?code=code-member1-1",
        )
        title("The instruments, 16 connections")
        pace.take_turns(16, requests)
        show(requests)


@dataclass(frozen=True)
class StandIn:
    port: int

    def cpu(self) -> float:
        """Of whichever process listens there."""
        return cpu(self._pid())

    def _pid(self) -> int:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        found = [
            int(each)
            for each in children
            if "standin.py" in Path(f"/proc/{each}/cmdline").read_text()
        ]
        return found[-1]


def _place(urls: dict[str, str], dialect: str) -> str:
    """Where a peer's own database is: the cluster's socket, or a file beside ours."""
    if dialect == "postgres":
        return urls["postgres"].partition("host=")[2]
    return _beside(urls["sqlite"], "peer.db")


def _beside(url: str, name: str) -> str:
    """A file of this name in the folder of Hefu's own."""
    return url.removeprefix("sqlite://").replace("hefu.db", name)


def describe(node: Node | None) -> None:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    ours = ("strawberry-graphql", "graphql-core", "starlette", "uvicorn", "asyncpg")
    versions = {name: version(name) for name in ours} | (
        node.versions() if node else {}
    )
    load_average = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{time.strftime('%Y-%m-%d %H:%M %Z')}; {os.cpu_count()} cores of {model},")
    print(f"load average {load_average} at the beginning; {platform.platform()};")
    print(f"Python {platform.python_version()};")
    print(", ".join(f"{name} {number}" for name, number in versions.items()) + ".")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--installed", action="store_true", help="as it was last time")
    parser.add_argument("--only", nargs="+")
    options = parser.parse_args()
    pace, node = Pace(options.rounds, options.seconds), Node(options.cache)
    goals: dict[str, Callable[[], None]] = {
        "instruments": lambda: instruments(pace),
        "postgres": lambda: logins(pace, node, "postgres"),
        "sqlite": lambda: logins(pace, node, "sqlite"),
        "lists": lambda: nested_lists(pace, node),
        "small": lambda: small_queries(pace),
        "long": lambda: long_lists(pace, options.users),
        "workers": lambda: workers(pace),
        "upstream": upstream,
    }
    wanted = options.only or list(goals)
    peers = bool({"postgres", "sqlite", "lists"} & set(wanted))
    if peers and not options.installed:
        node.install()
    describe(node if peers else None)
    for name in wanted:
        goals[name]()


if __name__ == "__main__":
    main()
