"""SQLite by the loop itself, where that keeps nobody waiting."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models import SpentState, database, rows
from models.backends.at_once import CHECKPOINT_EVERY
from models.statements import Statement
from models.together import insert, write

NEVER = datetime(2100, 1, 1, tzinfo=UTC)
LOOK = "SELECT digest FROM spent_states WHERE digest = $1"


class Watch:
    """In which threads statements ran."""

    def __init__(self) -> None:
        self.threads: list[int] = []

    def __call__(self, statement: Statement) -> None:
        self.threads.append(threading.get_ident())

    def at_once(self) -> bool:
        """Whether all since the last look ran in this thread."""
        threads, self.threads = self.threads, []
        assert threads
        return set(threads) == {threading.get_ident()}


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def path(sqlite_template: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "hefu.db"
    copy.write_bytes(sqlite_template.read_bytes())
    return copy


@asynccontextmanager
async def opened(path: Path, watch: Watch, options: str = "") -> AsyncGenerator[None]:
    async with database.opened(f"sqlite://{path}{options}", observe=watch):
        # The first statement of all opens the file, in the thread.
        assert await database.look_up_one(LOOK, "none") is None
        watch.threads.clear()
        yield


async def spend(digest: str) -> None:
    await write(insert(rows.new(SpentState, digest=digest, expires_at=NEVER)))


async def test_a_look_and_a_short_write_change_no_thread(
    path: Path, watch: Watch
) -> None:
    async with opened(path, watch):
        await spend("a")
        assert watch.at_once()
        assert await database.look_up_one(LOOK, "a")
        assert watch.at_once()
        assert await database.fetch_one(LOOK, "a")
        assert not watch.at_once()


async def test_what_wants_every_write_synced_writes_in_the_thread(
    path: Path, watch: Watch
) -> None:
    async with opened(path, watch, "?synchronous=full"):
        await spend("a")
        assert not watch.at_once()
        assert await database.look_up_one(LOOK, "a")
        assert watch.at_once()


async def test_whoever_finds_the_file_locked_lets_the_thread_wait(
    path: Path, watch: Watch
) -> None:
    async with opened(path, watch):
        await spend("a")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert watch.at_once()
            with (
                database.patience(0.2),
                pytest.raises(database.DatabaseUnavailable),
            ):
                await spend("b")
            assert not watch.at_once()
            assert await database.look_up_one(LOOK, "a")
            assert watch.at_once()
        await spend("b")
        assert watch.at_once()


async def test_within_a_transaction_its_own_writes_are_seen(
    path: Path, watch: Watch
) -> None:
    async with opened(path, watch):
        async with database.transaction():
            await SpentState.create(digest="a", expires_at=NEVER)
            assert await database.look_up_one(LOOK, "a")
        assert await database.look_up_one(LOOK, "a")


async def test_the_log_begins_anew_now_and_then(path: Path, watch: Watch) -> None:
    log = path.with_name("hefu.db-wal")
    async with opened(path, watch):
        sizes: list[int] = []
        for round in range(6):
            for number in range(CHECKPOINT_EVERY):
                await spend(f"{round} {number}")
            await asyncio.sleep(0.2)  # In which one that was begun is done.
            sizes.append(log.stat().st_size)
        assert sizes[-1] < 4 * sizes[0]
