"""
What people who bind with passwords cost the logins beside them.

    python bench/binding.py [--seconds 10] [--rounds 5] [--binders 8] [--typing 3]

About five minutes for both databases, a tenth of them to make the accounts that are
bound: each serves once, and its password takes a hash to set.

Logins come at a steady rate, whatever the answers take; every other phase some people
bind beside them, each logging in to be asked, guessing wrong once and then right, and
taking some seconds to type a password. Both kinds of phase alternate in one run, so
that what else the machine does meets both. `--binders 4 --typing 0` keeps every core
hashing without a pause: what a machine does that is too small.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import load
from house import Measured, databases, serving, stand_in
from load import Connection
from login import LOGIN

PASSWORD = "correct horse battery staple"
CONNECTIONS = 32

# All of them have an account after the logins that are not counted.
MEMBERS = 100

CREATE = """
mutation($input: CreateUserInput!) { createUser(input: $input) { errors { code } } }
"""
ASK = """
mutation($id: ID!) { updateWecomMobileIdentitySource(input: {id: $id,
  accountAssociation: {mode: ASK_TO_BIND, bindingMethods: [USERNAME_PASSWORD]}})
  { errors { code } } }
"""
TICKET = """
mutation($input: WecomMobileLoginInput!) {
  wecomMobileLogin(input: $input) { ... on BindingRequired { ticket } }
}
"""
BIND = """
mutation($input: BindExistingAccountInput!) {
  bindExistingAccount(input: $input) {
    __typename
    ... on LoginSuccess { tokens { accessToken } }
    ... on LoginFailure { code }
  }
}
"""


@dataclass
class Times:
    """Milliseconds, and what was not answered as it should be."""

    logins: list[float] = field(default_factory=list)
    hashes: int = 0
    failed: int = 0

    def quantile(self, share: float) -> float:
        return sorted(self.logins)[int(len(self.logins) * share) - 1]


@dataclass
class Bench:
    """One server, its two entrances, and numbers that are used once."""

    house: Measured
    app_id: str
    rate: float
    people: Iterator[int]
    # Seconds that a person takes for a password.
    typing: float
    numbers: Iterator[int] = field(default_factory=itertools.count)

    async def phase(self, seconds: float, binders: int, into: Times) -> None:
        until = time.perf_counter() + seconds
        # Not all at the same moment.
        apart = 2 * self.typing / max(binders, 1)
        binding = [
            asyncio.create_task(self.bind(until, number * apart, into))
            for number in range(binders)
        ]
        await self.log_in(until, into)
        await asyncio.gather(*binding)

    async def log_in(self, until: float, into: Times) -> None:
        """As many a second as were asked for, over connections that are free."""
        free: asyncio.Queue[Connection] = asyncio.Queue()
        for _ in range(CONNECTIONS):
            connection = Connection(self.house.port)
            await connection.open()
            free.put_nowait(connection)
        due, under_way = time.perf_counter(), set[asyncio.Task[None]]()
        while due < until:
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            task = asyncio.create_task(self._one(due, free, into))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            due += 1 / self.rate
        await asyncio.gather(*under_way)
        while not free.empty():
            free.get_nowait().close()

    async def _one(
        self, due: float, free: asyncio.Queue[Connection], into: Times
    ) -> None:
        number = next(self.numbers)
        connection = await free.get()
        answer = await connection.post(
            self._login(LOGIN, "bench", f"member{number % MEMBERS}", number)
        )
        # From when it was due: a queue before the server is waiting too.
        into.logins.append((time.perf_counter() - due) * 1000)
        into.failed += b'"LoginSuccess"' not in answer
        free.put_nowait(connection)

    async def bind(self, until: float, after: float, into: Times) -> None:
        await asyncio.sleep(after)
        connection = Connection(self.house.port)
        await connection.open()
        while time.perf_counter() < until:
            person = next(self.people, None)
            if person is None:
                # Phases in which nobody binds any more would look like the others.
                raise RuntimeError("Everybody is bound: more --people are needed.")
            asked = await connection.post(
                self._login(TICKET, "asking", f"person{person}", next(self.numbers))
            )
            ticket = json.loads(asked)["data"]["wecomMobileLogin"]["ticket"]
            for password, good in (("wrong", b"INVALID_CRED"), (PASSWORD, b"Success")):
                input = {
                    "appId": self.app_id,
                    "ticket": ticket,
                    "method": "USERNAME_PASSWORD",
                    "account": f"person{person}",
                    "password": password,
                }
                await asyncio.sleep(self.typing)
                answer = await connection.post(load.encode(BIND, {"input": input}))
                into.hashes += 1
                into.failed += good not in answer
        connection.close()

    def _login(self, query: str, source: str, member: str, number: int) -> bytes:
        code = f"code-{member}-{number}"
        input: dict[str, Any] = {"appId": self.app_id, "identitySource": source}
        return load.encode(query, {"input": {**input, "code": code}})


async def make_people(house: Measured, most: int) -> None:
    """The accounts that are to be bound, as many at once as hide the way there."""
    people = iter(range(most))

    async def make() -> None:
        connection = Connection(house.port)
        await connection.open()
        for person in people:
            input = {"username": f"person{person}", "password": PASSWORD}
            body = load.encode(CREATE, {"input": input})
            answer = await connection.post(body, house.key)
            if b'"errors":[]' not in answer.replace(b" ", b""):
                raise RuntimeError(answer)
        connection.close()

    await asyncio.gather(*(make() for _ in range(8)))


async def measure(house: Measured, options: argparse.Namespace) -> tuple[Times, Times]:
    app_id, _ = house.entrance(requireState=False)
    asking = house.source("asking")
    house.associate(app_id, asking)
    house.ask(ASK, {"id": asking})
    await make_people(house, options.people)
    people = iter(range(options.people))
    bench = Bench(house, app_id, options.rate, people, options.typing)
    alone, beside = Times(), Times()
    await bench.phase(
        MEMBERS / options.rate + 0.5, 0, Times()
    )  # First logins, caches, the token.
    for _ in range(options.rounds):
        await bench.phase(options.seconds, 0, alone)
        await bench.phase(options.seconds, options.binders, beside)
    return alone, beside


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=40)
    parser.add_argument("--binders", type=int, default=8)
    parser.add_argument("--typing", type=float, default=3)
    parser.add_argument("--people", type=int, default=150)
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgres"])
    options = parser.parse_args()
    print(
        f"{options.rate:.0f} logins/s; {options.binders} people bind in every other"
        f" phase of {options.seconds:.0f} s, {options.typing:.0f} s for a password"
    )
    print("database  binding  logins  p50 ms  p90 ms  p99 ms  hashes/s  failed")
    for name in options.databases:
        with (
            stand_in() as wecom,
            databases(name) as urls,
            serving(urls[name], wecom) as house,
        ):
            alone, beside = asyncio.run(measure(house, options))
        seconds = options.seconds * options.rounds
        for binding, times in (("nobody", alone), ("people", beside)):
            print(
                f"{name:9} {binding:8} {len(times.logins):6}"
                f" {statistics.median(times.logins):7.1f} {times.quantile(0.9):7.1f}"
                f" {times.quantile(0.99):7.1f}"
                f" {times.hashes / seconds:9.1f} {times.failed:7}"
            )
        added = beside.quantile(0.99) - alone.quantile(0.99)
        print(f"{name:9} added to p99: {added:+.1f} ms")


if __name__ == "__main__":
    main()
