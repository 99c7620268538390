"""
Looking for garbage seldom, and giving back what it leaves.

Python looks for cycles whenever 700 more objects were made than freed. A page of fifty
sources with three apps each consists of as many, none of them in a cycle, and is looked
through while it is made: 17 % of what it took (470 of 2,860 µs, 16 at a time). What was
imported is never garbage, and need not be looked through at all.

The C library keeps what was freed, in pieces between what is still used: of 30 MiB of
its heap a third after 40,000 operations, slowly more with each thousand. Giving whole
pages back takes it a millisecond or two; 99 MiB became 96 (docs/reliability.md).
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
from collections.abc import Callable

# Objects, of 100 bytes or so: half a megabyte. Looking through that once for seven such
# pages costs each of them some microseconds.
MORE_THAN_FREED = 5_000
# Of what has grown older as often as Python itself does, after 10,000 and 70,000.
OLDER = (2, 7)

# Seconds.
GIVEN_BACK_EVERY = 60.0


def look_seldom() -> None:
    """In a process that has begun to serve."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(MORE_THAN_FREED, *OLDER)


async def give_back(every: float = GIVEN_BACK_EVERY) -> None:
    """Give memory back that is not used, every so many seconds, until cancelled."""
    trim = _malloc_trim()
    while trim:
        await asyncio.sleep(every)
        trim(0)


def _malloc_trim() -> Callable[[int], int] | None:
    """GNU's; other C libraries have none."""
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
