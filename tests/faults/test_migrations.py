"""`hefu migrate` by several machines at once, and killed at any moment."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from models import database
from tests.faults.faulty import attempt
from tests.faults.figures import Figure
from tests.faults.served import HEFU, ROOT, environ, hefu, serving
from tests.house import Wecom


async def test_five_at_once(empty: str, wecom: Wecom) -> None:
    given = environ(empty, wecom.url)
    done = await asyncio.gather(*(hefu("migrate", given=given) for _ in range(5)))
    applied = [each.stderr.count("Applied ") for each in done]
    # One did it all, the others found it done.
    assert sorted(applied)[:4] == [0] * 4
    assert max(applied) >= 3
    await works(empty, wecom)


async def test_killed_at_any_moment_and_run_again(
    empty: str, wecom: Wecom, figure: Figure
) -> None:
    given = environ(empty, wecom.url)
    killed = 0
    for number in range(12):
        process = subprocess.Popen(  # noqa: ASYNC220, S603
            [*HEFU, "migrate"],
            env=given,
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
        )
        await asyncio.sleep(0.9 + number * 0.05)
        process.kill()
        killed += await asyncio.to_thread(process.wait) != 0
    figure("runs of `hefu migrate` that were killed", killed)
    await hefu("migrate", given=given)
    await works(empty, wecom)


async def test_what_is_on_no_record_is_not_said_to_be_applied(
    empty: str, wecom: Wecom
) -> None:
    given = environ(empty, wecom.url)
    await hefu("migrate", given=given)
    async with database.opened(empty):
        await database.fetch(
            "DELETE FROM tortoise_migrations WHERE name LIKE '0002%' RETURNING id"
        )
    done = await hefu("migrate", given=given, check=False)
    assert done.returncode == 1
    assert "lacks 0002_" in done.stderr
    assert "up to date" not in done.stderr
    assert "Traceback" not in done.stderr


async def works(url: str, wecom: Wecom) -> None:
    again = await hefu("migrate", given=environ(url, wecom.url))
    assert "Applied" not in again.stderr
    async with serving(url, wecom) as served:
        entrance = await served.house.entrance()
        assert (await attempt(entrance))[0] == 200


async def test_a_server_says_that_it_wants_a_migration(
    empty: str, wecom: Wecom, tmp_path: Path
) -> None:
    check = [sys.executable, "-m", "hefu", "create-owner", "--username", "x"]
    done = await asyncio.to_thread(
        lambda: subprocess.run(  # noqa: S603
            check,
            env=environ(empty, wecom.url),
            cwd=ROOT,
            capture_output=True,
            text=True,
            input="a long and good password\n",
            check=False,
        )
    )
    assert done.returncode == 1
    assert "hefu migrate" in done.stderr
