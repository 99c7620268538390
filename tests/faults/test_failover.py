"""
PostgreSQL's primary dies under logins, and Patroni makes the standby the primary.

`ROUNDS` times the primary of that moment is killed, or freezes (Patroni and PostgreSQL
at once), and comes back as the standby: so both directions are gone.
`scripts/failover` prints what was measured.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.faults import patroni
from tests.faults.figures import Figure
from tests.faults.life import Life, promises_kept
from tests.faults.patroni import Node, Pair
from tests.faults.served import serving
from tests.house import Wecom

pytestmark = pytest.mark.slow

ROUNDS = int(os.environ.get("ROUNDS", "1"))

# Seconds between what one phone does and its next: ten logins a second or so in all.
PAUSE = 0.1

FAULTS = {"killed": Node.kill, "frozen": Node.freeze}


@pytest.fixture
async def pair(open_folder: Path) -> AsyncGenerator[Pair]:
    if missing := patroni.missing():
        pytest.skip(f"not installed of Debian's packages: {', '.join(missing)}")
    async with patroni.running(open_folder) as pair:
        yield pair


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_no_acknowledged_session_is_lost_with_the_primary(
    pair: Pair, wecom: Wecom, figure: Figure, fault: str
) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(serving(pair.url, wecom))
        key = next(iter(first.house.keys.values()))
        second = await stack.enter_async_context(serving(pair.url, wecom, key=key))
        lives = [await Life.of(served.house, pause=PAUSE) for served in (first, second)]
        over = asyncio.Event()
        going = [
            asyncio.create_task(life.go_on(over)) for life in lives for _ in range(2)
        ]
        for number in range(1, ROUNDS + 1):
            leader, standby = await pair.settled()
            await all_logged_in(lives, since=time.monotonic())
            figure(f"round {number}", f"{leader.name} {fault}")
            FAULTS[fault](leader)
            began = time.monotonic()
            ended = await until_writable(standby)
            figure("the new primary took writes after", f"{ended - began:.1f} s")
            back = await all_logged_in(lives, since=ended)
            figure("both servers logged in after that", f"{back - ended:.2f} s")
            # A machine that hangs is switched off before it may come back.
            leader.kill()
            leader.start()
            now_leader, rejoined = await pair.settled()
            assert (now_leader, rejoined) == (standby, leader)
            figure(
                "it was the standby again after",
                f"{time.monotonic() - ended:.0f} s",
            )
        over.set()
        await asyncio.gather(*going)
        for life in lives:
            for token in life.tokens:
                assert await life.refreshed(token)
            figure("acknowledged", life.acknowledged)
            figure("sessions that live", f"{len(life.tokens)} of {len(life.tokens)}")
    await promises_kept(pair.url)


async def until_writable(node: Node) -> float:
    """When it took its first write, asked directly and not through Hefu."""
    async with asyncio.timeout(120):
        while not await node.takes_writes():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return time.monotonic()


async def all_logged_in(lives: list[Life], *, since: float) -> float:
    """When the last of the servers had answered a login after that moment."""
    async with asyncio.timeout(60):
        while any(life.logged_in_at <= since for life in lives):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return time.monotonic()
