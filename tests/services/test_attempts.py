from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest

from models import PasswordAttempt, database
from services.attempts import Attempt, Attempts
from services.refusals import RateLimited

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
HERE, THERE = "203.0.113.7", "2001:db8::7"


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def attempts(database_url: str, clock: Clock) -> AsyncGenerator[Attempts]:
    async with database.opened(database_url):
        yield Attempts(clock=clock)


async def test_the_eleventh_within_fifteen_minutes_waits_for_the_first_to_leave(
    attempts: Attempts, clock: Clock
) -> None:
    for _ in range(10):
        await attempts.begin("amy", HERE)
        clock.advance(seconds=30)

    assert await refusal(attempts, "amy", HERE) == ("attempts.address", 600)
    clock.advance(seconds=599.5)
    assert await refusal(attempts, "amy", HERE) == ("attempts.address", 1)
    clock.advance(seconds=0.5)
    await attempts.begin("amy", HERE)
    assert await refusal(attempts, "amy", HERE) == ("attempts.address", 30)


async def test_a_right_password_does_not_count(attempts: Attempts) -> None:
    for _ in range(30):
        await attempts.succeeded(await attempts.begin("amy", HERE))

    assert await PasswordAttempt.all().count() == 0


async def test_a_refused_guess_does_not_prolong_the_wait(
    attempts: Attempts, clock: Clock
) -> None:
    for _ in range(10):
        await attempts.begin("amy", HERE)
    clock.advance(minutes=14)
    for _ in range(5):
        await refusal(attempts, "amy", HERE)

    clock.advance(minutes=1)
    await attempts.begin("amy", HERE)


async def test_ten_guesses_lock_out_neither_another_address_nor_another_account(
    attempts: Attempts,
) -> None:
    for _ in range(10):
        await attempts.begin("amy", HERE)

    await attempts.begin("amy", THERE)
    await attempts.begin("bob", HERE)


async def test_a_hundred_a_day_from_everywhere(
    attempts: Attempts, clock: Clock
) -> None:
    for address in range(10):
        for _ in range(10):
            await attempts.begin("amy", f"192.0.2.{address}")
        clock.advance(minutes=1)

    assert await refusal(attempts, "amy", HERE) == ("attempts.everywhere", 85_800)
    clock.advance(seconds=85_800)
    await attempts.begin("amy", HERE)


async def test_of_two_bounds_the_longer_wait_is_told(attempts: Attempts) -> None:
    """Whoever waits for as long as they were told to is not refused once more."""
    for address in range(10):
        for _ in range(10):
            await attempts.begin("amy", f"192.0.2.{address}")

    assert await refusal(attempts, "amy", "192.0.2.0") == (
        "attempts.everywhere",
        86_400,
    )


@pytest.mark.parametrize("addresses", [1, 30])
async def test_guesses_made_at_once_count_one_another(
    attempts: Attempts, addresses: int
) -> None:
    guesses = 150
    began = await asyncio.gather(
        *(attempts.begin("amy", f"192.0.2.{n % addresses}") for n in range(guesses)),
        return_exceptions=True,
    )

    through = [each for each in began if isinstance(each, Attempt)]
    refused = [each for each in began if isinstance(each, RateLimited)]
    assert (len(through), len(refused)) == ((10, 140) if addresses == 1 else (100, 50))
    assert await PasswordAttempt.all().count() == len(through)


async def test_pruning_deletes_what_no_bound_counts(
    attempts: Attempts, clock: Clock
) -> None:
    for _ in range(5):
        await attempts.begin("amy", HERE)
    clock.advance(hours=23)
    await attempts.begin("amy", HERE)
    assert await attempts.prune(limit=100) == 0

    clock.advance(hours=2)

    assert [await attempts.prune(limit=3) for _ in range(3)] == [3, 2, 0]
    assert await PasswordAttempt.all().count() == 1


async def refusal(
    attempts: Attempts, account: str, address: str
) -> tuple[str | None, int | None]:
    with pytest.raises(RateLimited) as caught:
        await attempts.begin(account, address)
    return caught.value.rule, caught.value.retry_after
