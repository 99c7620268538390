"""
A rolling upgrade: old and new processes side by side, a migration in between.

The old version is the newest release before this commit. While there is none, it is the
commit before the one that added the newest migration, so that there is one to apply. It
runs on the packages of this checkout's environment.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest

from tests.faults.figures import Figure, Stopwatch
from tests.faults.life import REFRESH, promises_kept
from tests.faults.served import ROOT, Served, environ, hefu, serving
from tests.house import Entrance, House, Wecom

pytestmark = pytest.mark.slow

# Logins a second, at the most: a busy machine does fewer.
RATE = int(os.environ.get("RATE", "50"))

# Seconds of logins before and after each step.
BETWEEN = float(os.environ.get("BETWEEN", "1"))

MIGRATIONS = "models/migrations"


def git(*arguments: str) -> str:
    done = subprocess.run(  # noqa: S603
        ["git", *arguments],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def previous() -> str:
    """A name for the old version's commit; nothing where the history is not here."""
    tag = git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD^")
    if tag:
        return tag
    added = git("log", "-1", "--format=%h", "--diff-filter=A", "--", MIGRATIONS)
    return git("rev-parse", "--short", f"{added}^") if added else ""


@dataclass(frozen=True)
class Old:
    name: str
    root: Path

    @property
    def migrations(self) -> set[str]:
        return {path.stem for path in (self.root / MIGRATIONS).glob("[0-9]*.py")}


@pytest.fixture(scope="session")
def old(tmp_path_factory: pytest.TempPathFactory) -> Old:
    name = previous()
    if not name:
        pytest.skip("the history that holds the version before is not here")
    root = tmp_path_factory.mktemp("old")
    archive = subprocess.run(  # noqa: S603
        ["git", "archive", name],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    subprocess.run(["tar", "-x"], input=archive.stdout, cwd=root, check=True)  # noqa: S607
    return Old(name, root)


class Balancer(httpx.AsyncBaseTransport):
    """Sends request after request to another server: a login meets both versions."""

    def __init__(self) -> None:
        # Kept connections are closed by a server at any moment, a request under way or
        # not: what fails by that is no matter of an upgrade.
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=0)
        self._inner = httpx.AsyncHTTPTransport(limits=limits)
        self._ports: list[int] = []
        self._turn = itertools.count()

    def take_in(self, served: Served) -> None:
        self._ports.append(served.port)

    def leave_out(self, served: Served) -> None:
        self._ports.remove(served.port)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        port = self._ports[next(self._turn) % len(self._ports)]
        request.url = request.url.copy_with(host="127.0.0.1", port=port)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass
class Phones:
    """So many logins a second, and a refresh for each."""

    entrance: Entrance
    logins: int = 0
    refreshes: int = 0
    failed: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    slowest: float = 0.0
    _next_at: float = field(default_factory=time.monotonic)

    async def go_on(self, over: asyncio.Event) -> None:
        """Until it is over, to the end of what was begun."""
        number = 0
        while not over.is_set():
            number += 1
            await self._turn()
            began = time.monotonic()
            try:
                await self._log_in(("zhangsan", "lisi", "bob_jones-2")[number % 3])
            except (AssertionError, httpx.HTTPError, KeyError) as error:
                self.failed.append(f"{type(error).__name__}: {error}")
            self.slowest = max(self.slowest, time.monotonic() - began)

    async def refreshed(self, token: str) -> str:
        data = await self.entrance.house.data(REFRESH, {"token": token})
        return str(data["refreshSession"]["tokens"]["refreshToken"])

    async def _log_in(self, userid: str) -> None:
        login = await self.entrance.log_in(userid)
        token = login["tokens"]["refreshToken"]
        self.logins += 1
        self.tokens.append(await self.refreshed(token))
        self.refreshes += 1

    async def _turn(self) -> None:
        """Not before it is due; what was missed is not made up for."""
        now = time.monotonic()
        self._next_at = max(self._next_at + 1 / RATE, now)
        await asyncio.sleep(self._next_at - now)


@asynccontextmanager
async def on_the_phone(
    house: House, balancer: Balancer, entrance: Entrance
) -> AsyncGenerator[Phones]:
    """People who log in until the block ends, each to its end."""
    async with httpx.AsyncClient(
        transport=balancer, base_url="http://hefu.test", timeout=30
    ) as client:
        phones = Phones(replace(entrance, house=replace(house, client=client)))
        over = asyncio.Event()
        going = [asyncio.create_task(phones.go_on(over)) for _ in range(8)]
        try:
            yield phones
        finally:
            over.set()
            await asyncio.gather(*going)


async def test_no_login_fails_while_old_and_new_run_side_by_side(
    old: Old, empty: str, wecom: Wecom, figure: Figure
) -> None:
    balancer = Balancer()
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(serving(empty, wecom, root=old.root))
        key = next(iter(first.house.keys.values()))
        second = await stack.enter_async_context(
            serving(empty, wecom, key=key, root=old.root)
        )
        for served in (first, second):
            balancer.take_in(served)
        entrance = await first.house.entrance()
        figure("from", old.name)
        began = Stopwatch()
        async with on_the_phone(first.house, balancer, entrance) as phones:
            await asyncio.sleep(BETWEEN)
            watch = Stopwatch()
            done = await hefu("migrate", given=environ(empty, wecom.url))
            applied = done.stderr.count("Applied ")
            assert applied == len(list((ROOT / MIGRATIONS).glob("[0-9]*.py"))) - len(
                old.migrations
            )
            figure("migrations applied meanwhile", f"{applied}, in {watch.seconds}")
            await asyncio.sleep(BETWEEN)
            for stopped in (first, second):
                started = await stack.enter_async_context(
                    serving(empty, wecom, key=key)
                )
                balancer.take_in(started)
                await asyncio.sleep(BETWEEN)
                balancer.leave_out(stopped)
                stopped.signal(signal.SIGTERM)
                assert await stopped.ended() == 0
                await asyncio.sleep(BETWEEN)
            figure("it took", began.seconds)
            figure("logins, and as many refreshes", phones.logins)
            figure("the slowest of them took", f"{phones.slowest:.2f} s")
            tokens, phones.tokens = phones.tokens, []
            assert phones.failed == []
            assert phones.logins > 0
            # Of sessions that the old version opened, too.
            for token in tokens:
                assert await phones.refreshed(token)
            figure("sessions that live afterwards", f"{len(tokens)} of {len(tokens)}")
    await promises_kept(empty)
