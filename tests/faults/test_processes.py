"""Servers that are killed and stopped under logins, binds and refreshes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.faults.faulty import attempt
from tests.faults.figures import Figure, Stopwatch
from tests.faults.life import Life, promises_kept
from tests.faults.served import Served, ready, serving
from tests.house import Wecom

KILLS = int(os.environ.get("KILLS", "5"))


@pytest.mark.parametrize("workers", [1, 2])
async def test_killed_under_logins_binds_and_refreshes(
    database_url: str, wecom: Wecom, workers: int, figure: Figure
) -> None:
    key, life = None, None
    for _ in range(KILLS):
        async with serving(database_url, wecom, workers=workers, key=key) as served:
            if life is None:
                key = next(iter(served.house.keys.values()))
                life = await Life.of(served.house)
            life.move(served.house)
            over = asyncio.Event()
            going = [asyncio.create_task(life.go_on(over)) for _ in range(4)]
            await asyncio.sleep(1)
            kill(served)
            await served.ended()
            over.set()
            await asyncio.gather(*going)
    assert life is not None
    async with serving(database_url, wecom, key=key) as served:
        life.move(served.house)
        for token in life.tokens:
            assert await life.refreshed(token)
    figure("killed", f"{KILLS} times")
    figure("acknowledged", life.acknowledged)
    figure("sessions that live", f"{len(life.tokens)} of {len(life.tokens)}")
    await promises_kept(database_url)


def kill(served: Served) -> None:
    """All of them, at once."""
    for process in (*served.workers(), served.process.pid):
        os.kill(process, signal.SIGKILL)


@pytest.fixture
async def closing() -> AsyncGenerator[list[Any]]:
    """Writers that are closed in the end, whatever became of the test."""
    writers: list[Any] = []
    yield writers
    for writer in writers:
        writer.close()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
async def test_stopped_with_a_hundred_requests_in_flight(
    database_url: str, wecom: Wecom, workers: int, figure: Figure, closing: list[Any]
) -> None:
    async with serving(database_url, wecom, workers=workers) as served:
        entrance = await served.house.entrance()
        await attempt(entrance)
        inputs = [await entrance.prepared() for _ in range(80)]
        wecom.fault("delay", times=100, seconds=2.0)
        before = wecom.calls("getuserinfo")
        half = [await half_sent(served.port) for _ in range(20)]
        closing.extend(half)
        logins = [asyncio.create_task(entrance.present(**each)) for each in inputs]
        async with asyncio.timeout(60):
            while wecom.calls("getuserinfo") < before + len(logins):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        watch = Stopwatch()
        served.signal(signal.SIGTERM)
        await asyncio.sleep(0.15)
        probe = await probed(served)
        answers = await asyncio.gather(*logins)
        status = await served.ended()
        figure("a stop with 80 logins in flight and 20 half sent took", watch.seconds)
    names = [answer["__typename"] for answer in answers]
    assert names == ["LoginSuccess"] * 80
    assert status == 0
    assert probe in {503, None}


async def probed(served: Served) -> int | None:
    """What readiness says on a new connection; None where none is taken any more."""
    async with httpx.AsyncClient() as client:
        with suppress(httpx.TransportError):
            url = f"http://127.0.0.1:{served.port}/health/ready"
            return (await client.get(url)).status_code
    return None


async def half_sent(port: int) -> Any:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /graphql HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\n{")
    await writer.drain()
    return writer


async def test_a_rolling_restart_fails_no_login(
    database_url: str, wecom: Wecom, figure: Figure
) -> None:
    """Two servers beside each other, stopped and started in turn, as in an upgrade."""
    async with serving(database_url, wecom) as first:
        key = next(iter(first.house.keys.values()))
        entrance = await first.house.entrance()
        failed, done = 0, 0
        running = asyncio.Event()
        current: list[httpx.AsyncClient] = [first.house.client]

        async def phone() -> None:
            nonlocal failed, done
            while not running.is_set():
                entrance.house.client = current[0]
                status, _ = await attempt(entrance)
                done += 1
                failed += status != 200
                await asyncio.sleep(0.05)

        phones = [asyncio.create_task(phone()) for _ in range(8)]
        async with serving(database_url, wecom, key=key) as second:
            await ready(second.house.client)
            current[0] = second.house.client
            first.signal(signal.SIGTERM)
            assert await first.ended() == 0
            await asyncio.sleep(2)
            running.set()
            await asyncio.gather(*phones)
    figure("logins over a rolling restart", f"{done}, of which {failed} failed")
    assert failed == 0
