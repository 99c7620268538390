"""
How long the event loop stands still while eight people's passwords are verified.

    python bench/passwords.py

Inline, in the pool of `services.passwords`, and in a pool without a bound. Prints the
loop's lag and the work done as ratios of the pool's, since machines differ.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from multiprocessing import get_context

from argon2 import PasswordHasher

from services.passwords import Passwords

PEOPLE = 8
EACH = 6
PASSWORD = "correct horse battery staple"

Verify = Callable[[str], Awaitable[bool]]


@dataclass
class Result:
    name: str
    lags: list[float]
    seconds: float
    megabytes: float

    @property
    def p99(self) -> float:
        return sorted(self.lags)[int(0.99 * len(self.lags))]

    @property
    def rate(self) -> float:
        return PEOPLE * EACH / self.seconds


async def lag(every: float, into: list[float]) -> None:
    """How much later than asked for the loop comes back."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(every)
        into.append(time.perf_counter() - before - every)


async def measure(name: str, verify: Verify, stored: str) -> Result:
    lags: list[float] = []
    watch = asyncio.create_task(lag(0.001, lags))
    await asyncio.sleep(0.05)
    lags.clear()

    async def person() -> None:
        for _ in range(EACH):
            assert await verify(stored)  # noqa: S101
            await asyncio.sleep(0)  # As the database would let others come in between.

    started = time.perf_counter()
    await asyncio.gather(*(person() for _ in range(PEOPLE)))
    seconds = time.perf_counter() - started
    await asyncio.sleep(0.002)
    watch.cancel()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Result(name, lags, seconds, peak)


def run(name: str) -> Result:
    stored = PasswordHasher().hash(PASSWORD)

    async def inline(stored: str) -> bool:
        return PasswordHasher().verify(stored, PASSWORD)

    async def threads(stored: str) -> bool:
        return await asyncio.to_thread(PasswordHasher().verify, stored, PASSWORD)

    async def go() -> Result:
        pool = Passwords()

        async def pooled(stored: str) -> bool:
            return await pool.verify(stored, PASSWORD)

        ways: dict[str, Verify] = {
            "pool": pooled,
            "inline": inline,
            "unbounded": threads,
        }
        return await measure(name, ways[name], stored)

    return asyncio.run(go())


def main() -> None:
    # A process for each: the peak of memory is a process's.
    with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        results = pool.map(run, ["pool", "inline", "unbounded"], chunksize=1)
    best = results[0]
    print(
        f"{PEOPLE} people, {EACH} verifications each; Python {sys.version.split()[0]}"
    )
    print(
        f"{'':>10} {'lag p99':>18} {'lag max':>18} {'per second':>16} {'peak MiB':>9}"
    )
    for each in results:
        print(
            f"{each.name:>10}"
            f" {each.p99 * 1000:8.1f} ms ×{each.p99 / best.p99:6.1f}"
            f" {max(each.lags) * 1000:8.1f} ms ×{max(each.lags) / max(best.lags):6.1f}"
            f" {each.rate:8.1f} ×{each.rate / best.rate:6.2f}"
            f" {each.megabytes:9.0f}"
        )


if __name__ == "__main__":
    main()
