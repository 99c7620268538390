"""A SQLite file that is locked, and a disk that is full, under logins."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest

from models import database
from tests.faults.faulty import (
    UNAVAILABLE,
    attempt,
    attempts,
    holds,
    resumed,
    until_unavailable,
)
from tests.faults.figures import Figure, Stopwatch
from tests.house import Clock, Entrance, House, Wecom, open_house, settings


@pytest.fixture(params=["sqlite"])
def database_url(
    request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path
) -> str:
    path = tmp_path / "hefu.db"
    path.write_bytes(sqlite_template.read_bytes())
    return f"sqlite://{path}"


@pytest.fixture
async def entrance(house: House) -> AsyncGenerator[Entrance]:
    entrance = await house.entrance()
    await entrance.log_in()
    yield entrance
    await holds()
    assert (await database.fetch("PRAGMA integrity_check")) == [
        {"integrity_check": "ok"}
    ]


@contextmanager
def locked(house: House) -> Generator[None]:
    """Another process writes, and does not come to an end."""
    path = house.database_url.removeprefix("sqlite://")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


async def test_a_lock_of_three_seconds_is_waited_for(
    house: House, entrance: Entrance, figure: Figure
) -> None:
    watch = Stopwatch()
    with locked(house):
        logins = asyncio.create_task(attempts(entrance, 20))
        await asyncio.sleep(3)
    answers = await logins
    figure("20 logins on a file locked for 3 s took", watch.seconds)
    assert [status for status, _ in answers] == [200] * 20


async def test_a_lock_without_end_is_not(
    house: House, entrance: Entrance, figure: Figure
) -> None:
    key = await house.key()
    with locked(house):
        watch = Stopwatch()
        waiting = asyncio.create_task(attempts(entrance, 30))
        await asyncio.sleep(0.5)
        reading = Stopwatch()
        assert (await house.data("{ apps { totalCount } }", token=key))["apps"]
        assert (await house.client.get("/health/ready")).status_code == 200
        figure("beside them a read and a probe took", reading.seconds)
        assert await waiting == [UNAVAILABLE] * 30
        figure("30 logins on a locked file were answered UNAVAILABLE in", watch.seconds)
    figure("work resumed after", await resumed(entrance))


async def test_a_file_that_may_not_grow_lets_reads_go_on(
    house: House, entrance: Entrance, figure: Figure
) -> None:
    key = await house.key()
    await bound(house, pages=1)
    # A login or two find room in pages that were free.
    await until_unavailable(entrance)
    assert (await house.data("{ apps { totalCount } }", token=key))["apps"]
    assert (await house.client.get("/health/ready")).status_code == 200
    await bound(house, pages=1_000_000_000)
    figure("work resumed after", await resumed(entrance))


async def bound(house: House, *, pages: int) -> None:
    def visit(connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    client = cast("Any", database.connection())
    await client.visit(visit)
    await client.brief(visit)  # Through the loop's own connection.


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """Four megabytes, where the machine lets us have them."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:  # noqa: S603
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)  # noqa: S603, S607


async def test_a_full_disk_lets_reads_go_on(
    small_disk: Path,
    sqlite_template: Path,
    wecom: Wecom,
    clock: Clock,
    figure: Figure,
) -> None:
    path = small_disk / "hefu.db"
    shutil.copy(sqlite_template, path)
    given = settings(f"sqlite://{path}", wecom.url)
    async with open_house(given, wecom, clock) as house:
        entrance, key = await house.entrance(), await house.key()
        await entrance.log_in()
        filler = small_disk / "filler"
        fill(filler)
        await until_unavailable(entrance)
        assert await attempts(entrance, 10) == [UNAVAILABLE] * 10
        assert (await house.data("{ apps { totalCount } }", token=key))["apps"]
        assert (await house.client.get("/health/ready")).status_code == 200
        filler.unlink()
        figure("work resumed after", await resumed(entrance))
        await holds()
        checked = await database.fetch("PRAGMA integrity_check")
        assert checked == [{"integrity_check": "ok"}]


def fill(path: Path) -> None:
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


async def test_a_commit_that_fails_leaves_no_transaction_open(
    entrance: Entrance,
) -> None:
    async def orphan() -> None:
        async with database.transaction():
            # Constraints are then checked by COMMIT, which leaves it all open.
            await database.fetch("PRAGMA defer_foreign_keys = ON")
            await database.fetch("UPDATE sessions SET user_id = $1", "nobody")

    with pytest.raises(database.Taken):
        await orphan()
    assert (await attempt(entrance))[0] == 200


async def test_requests_that_are_given_up_leave_nothing_behind(
    entrance: Entrance,
) -> None:
    for number in range(80):
        with suppress(TimeoutError):
            async with asyncio.timeout(number / 2000):
                await attempt(entrance)
    assert (await attempt(entrance))[0] == 200


async def test_requests_that_are_given_up_at_a_lock_leave_nothing_behind(
    house: House, entrance: Entrance
) -> None:
    with locked(house):
        waiting = [asyncio.create_task(attempt(entrance)) for _ in range(10)]
        await asyncio.sleep(0.3)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert [status for status, _ in await attempts(entrance, 10)] == [200] * 10
