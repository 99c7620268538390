from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from services.passwords import NICENESS, Passwords, whole_cores
from services.refusals import RateLimited

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
GOOD = "correct horse battery staple"


@pytest.fixture(scope="module")
def passwords() -> Passwords:
    return Passwords(hasher=CHEAP)


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("", "TOO_SHORT"),
        ("7 chars", "TOO_SHORT"),
        ("密码太短了吧？", "TOO_SHORT"),
        # Eight code points that are four characters once they are composed.
        ("e\N{COMBINING ACUTE ACCENT}" * 4, "TOO_SHORT"),
        ("x" * 129, "TOO_LONG"),
        ("x" * 60_000, "TOO_LONG"),
        ("\N{COMBINING ACUTE ACCENT}" * 60_000, "TOO_LONG"),
        ("half a pair \ud83d", "INVALID_FORMAT"),
        ("password", "TOO_WEAK"),
        ("PASSWORD", "TOO_WEAK"),
        ("P@ssw0rd", "TOO_WEAK"),
        ("12345678", "TOO_WEAK"),
        ("１２３４５６７８", "TOO_WEAK"),
        ("qwertyuiop", "TOO_WEAK"),
        ("88888888", "TOO_WEAK"),
        ("abcd1234", "TOO_WEAK"),
        ("iloveyou1", "TOO_WEAK"),
        ("passwordpassword", "TOO_WEAK"),
    ],
)
async def test_a_password_that_will_not_do(
    passwords: Passwords, password: str, code: str
) -> None:
    problem = await passwords.flaw("password", password)

    assert problem is not None
    assert (problem.path, problem.code) == (("password",), code)


@pytest.mark.parametrize(
    "password",
    [
        GOOD,
        "8 chars!",
        "x" * 128,
        "密码要长一点才安全",
        "🔑🐎🔋📎🔑🐎🔋📎",
        "nul\0in the middle",
    ],
)
async def test_a_password_that_will_do(passwords: Passwords, password: str) -> None:
    assert await passwords.flaw("password", password) is None
    assert await passwords.verify(await passwords.hash(password), password)


@pytest.mark.parametrize(
    "password",
    [
        "Zhang.San-2024",
        " zhang.san-2024 ",
        "zhangsan.work@example.com",
        "ZhangSan.Work",
    ],
)
async def test_a_password_must_not_repeat_a_name_or_an_address(
    passwords: Passwords, password: str
) -> None:
    unlike = ("zhang.san-2024", None, "zhangsan.work@example.com")

    problem = await passwords.flaw("newPassword", password, unlike=unlike)

    assert problem is not None
    assert (problem.path, problem.code) == (("newPassword",), "TOO_WEAK")


async def test_one_password_whatever_keyboard_typed_it(passwords: Passwords) -> None:
    composed = await passwords.hash("caf\N{LATIN SMALL LETTER E WITH ACUTE} 123 noir")

    assert await passwords.verify(
        composed, "cafe\N{COMBINING ACUTE ACCENT} １２３ noir"
    )


@pytest.mark.parametrize(
    "typed", ["", GOOD.upper(), GOOD + " ", "\ud83d", "x" * 60_000, "\0"]
)
async def test_what_is_not_the_password(passwords: Passwords, typed: str) -> None:
    assert not await passwords.verify(await passwords.hash(GOOD), typed)


async def test_no_password_is_nobodys(passwords: Passwords) -> None:
    assert not await passwords.verify(None, GOOD)


async def test_unknown_passwordless_and_wrong_take_the_same_time() -> None:
    passwords = Passwords(workers=1)
    stored = await passwords.hash(GOOD)
    times: dict[str, list[float]] = {"wrong": [], "none": [], "unusable": []}
    for _ in range(5):
        times["wrong"].append(await _seconds(passwords, stored, "something else"))
        times["none"].append(await _seconds(passwords, None, GOOD))
        times["unusable"].append(await _seconds(passwords, stored, "\ud83d"))

    best = [min(taken) for taken in times.values()]
    assert max(best) < 1.5 * min(best)


async def test_a_full_queue_refuses_at_once_and_recovers() -> None:
    passwords = Passwords(workers=1, waiting=2)
    stored = await passwords.hash(GOOD)

    answers = await asyncio.gather(
        *(passwords.verify(stored, GOOD) for _ in range(5)), return_exceptions=True
    )

    assert answers[:3] == [True, True, True]
    refusals = answers[3:]
    assert [type(refusal) for refusal in refusals] == [RateLimited, RateLimited]
    assert isinstance(refusals[0], RateLimited)
    assert refusals[0].retry_after == 3
    assert await passwords.verify(stored, GOOD)
    assert passwords.queue == 0


async def test_whoever_goes_away_gives_up_a_place_in_the_queue() -> None:
    passwords = Passwords(workers=1, waiting=1)
    stored = await passwords.hash(GOOD)
    running = asyncio.create_task(passwords.verify(stored, GOOD))
    waiting = asyncio.create_task(passwords.verify(stored, GOOD))
    await asyncio.sleep(0)
    assert passwords.queue == 2

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert passwords.queue == 1
    assert await passwords.verify(stored, GOOD)
    assert await running


async def test_as_many_at_once_as_cores_and_the_loop_goes_on() -> None:
    passwords = Passwords()
    stored = await passwords.hash(GOOD)
    work = asyncio.gather(*(passwords.verify(stored, GOOD) for _ in range(8)))
    await asyncio.sleep(0)
    assert passwords.queue == 8
    turns = 0
    while not work.done():
        await asyncio.sleep(0.001)
        turns += 1

    assert await work == [True] * 8
    assert turns > 8, "the loop stood still while passwords were hashed"
    assert passwords._workers == whole_cores(len(os.sched_getaffinity(0)))


@pytest.mark.parametrize(
    ("own", "above", "cores"),
    [
        ("max 100000", "max 100000", 8),
        ("200000 100000", "max 100000", 2),
        ("250000 100000", "max 100000", 2),
        ("50000 100000", "max 100000", 1),
        ("1600000 100000", "300000 100000", 3),
        (None, "400000 100000", 4),
        (None, None, 8),
    ],
)
def test_a_quota_takes_cores_away(
    tmp_path: Path, own: str | None, above: str | None, cores: int
) -> None:
    """Of a container, of a unit, of the slice that it is in."""
    group = tmp_path / "cgroup"
    group.write_text("1:cpu:/elsewhere\n0::/system.slice/hefu.service\n")
    tree = tmp_path / "tree"
    unit = tree / "system.slice" / "hefu.service"
    unit.mkdir(parents=True)
    for folder, quota in ((unit, own), (unit.parent, above)):
        if quota is not None:
            (folder / "cpu.max").write_text(f"{quota}\n")
    assert whole_cores(8, group, tree) == cores
    assert whole_cores(8, tmp_path / "none", tree) == 8


async def test_what_would_take_minutes_to_judge_is_not_judged(
    passwords: Passwords,
) -> None:
    """Of look-alikes the estimate tries every reading: exponential in their number."""
    leet = "@4([{<63$5!1|70+%2"
    for length in (32, 33, 128):
        async with asyncio.timeout(60):
            await passwords.flaw("password", (leet * 8)[:length])


async def test_a_hash_of_older_parameters_is_outdated(passwords: Passwords) -> None:
    today = Passwords()

    assert today.is_outdated(await passwords.hash(GOOD))
    assert not today.is_outdated(await today.hash(GOOD))


async def _seconds(passwords: Passwords, stored: str | None, typed: str) -> float:
    """Of the processors: what the clock on the wall says depends on the neighbours."""
    started = time.process_time()
    assert not await passwords.verify(stored, typed)
    return time.process_time() - started


@pytest.mark.skipif(sys.platform != "linux", reason="a niceness is a process's there")
async def test_logins_have_the_cores_first(passwords: Passwords) -> None:
    """Argon2 computes in the thread that calls it, whose niceness is higher."""
    beside = await passwords._in_turn(lambda: os.nice(0))

    assert beside == os.nice(0) + NICENESS
