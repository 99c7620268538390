from __future__ import annotations

import asyncio
import ctypes
import gc
import resource
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from hefu import garbage


@pytest.fixture(autouse=True)
def usual() -> Generator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_garbage_is_looked_for_seldom_and_never_among_what_was_imported() -> None:
    garbage.look_seldom()
    assert gc.isenabled()
    assert gc.get_threshold()[0] == garbage.MORE_THAN_FREED
    assert gc.get_freeze_count() > garbage.MORE_THAN_FREED


@pytest.mark.skipif(sys.platform != "linux", reason="Only GNU's C library can.")
async def test_what_was_freed_among_what_is_used_is_given_back() -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    # Too small to be mapped by themselves; each has a neighbour that stays.
    size = 64 * 1024
    taken = [libc.malloc(size) for _ in range(1000)]
    for address in taken:
        ctypes.memset(address, 1, size)
    for address in taken[::2]:
        libc.free(address)
    kept = resident()
    giving = asyncio.create_task(garbage.give_back(every=0.01))
    await asyncio.sleep(0.1)
    giving.cancel()
    left = resident()
    for address in taken[1::2]:
        libc.free(address)
    assert kept - left > 20 * 1024 * 1024


def resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
