"""What a process holds: memory, file descriptors, threads; read from /proc."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

KIB = 1024


@dataclass(frozen=True)
class Holding:
    """
    Bytes and counts of one process.

    `pss` counts a page that several processes share by halves, thirds and so on, so
    that sums are right; `uss` is what would be free if the process ended.
    """

    rss: int
    pss: int
    uss: int
    descriptors: int
    threads: int


def held(pid: int) -> Holding:
    memory = _rollup(pid)
    return Holding(
        rss=memory["Rss"],
        pss=memory["Pss"],
        uss=memory["Private_Clean"] + memory["Private_Dirty"],
        descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        threads=len(list(Path(f"/proc/{pid}/task").iterdir())),
    )


def workers(pid: int) -> list[int]:
    """A supervisor's workers, without multiprocessing's own tracker."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if _is_worker(child)]


def connected_to(pid: int, port: int) -> int:
    """How many of the process' descriptors are IPv4 connections to that port."""
    lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    rows = [line.split() for line in lines]
    sockets = {
        f"socket:[{row[9]}]"
        for row in rows
        if int(row[2].partition(":")[2], 16) == port
    }
    return sum(each in sockets for each in _descriptors(pid))


def opened(pid: int, path: str) -> int:
    """How many of the process' descriptors are that file."""
    return _descriptors(pid).count(path)


def _descriptors(pid: int) -> list[str]:
    """What each stands for."""
    found: list[str] = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # Closed meanwhile.
            found.append(str(each.readlink()))
    return found


def _is_worker(pid: str) -> bool:
    return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()


def _rollup(pid: int) -> dict[str, int]:
    """Bytes, by the kernel's names."""
    memory: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, kibibytes, *_ = line.split()
        memory[name.rstrip(":")] = int(kibibytes) * KIB
    return memory
