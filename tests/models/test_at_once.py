"""SQLite by the loop itself, where that keeps nobody waiting."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, closing, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models import SpentState, database, rows
from models.backends.at_once import CHECKPOINT_EVERY
from models.backends.group_commit import MOST
from models.statements import Statement
from models.together import Untouched, Write, insert, write

pytestmark = pytest.mark.ways

NEVER = datetime(2100, 1, 1, tzinfo=UTC)
LOOK = "SELECT digest FROM spent_states WHERE digest = $1"


WHO: ContextVar[str] = ContextVar("who", default="nobody")


class Watch:
    """What statements ran, in which threads, and for whom."""

    def __init__(self) -> None:
        self.threads: list[int] = []
        self.statements: list[tuple[str, str]] = []

    def __call__(self, statement: Statement) -> None:
        self.threads.append(threading.get_ident())
        self.statements.append((statement.sql.split()[0], WHO.get()))

    def commands(self) -> Counter[str]:
        """How many of each kind since the last look."""
        statements, self.statements = self.statements, []
        return Counter(command for command, _ in statements)

    def where(self, command: str) -> list[int]:
        """The threads in which statements of this kind ran since the last look."""
        ran = zip(self.statements, self.threads, strict=True)
        found = [thread for (name, _), thread in ran if name == command]
        self.statements, self.threads = [], []
        return found

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
        watch.statements.clear()
        yield


@contextmanager
def locked(path: Path) -> Generator[None]:
    """While another process writes."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


async def spend(digest: str) -> None:
    await write(insert(rows.new(SpentState, digest=digest, expires_at=NEVER)))


async def spent() -> set[str]:
    return {row.digest for row in await SpentState.all()}


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


async def test_whoever_finds_the_file_locked_waits_while_others_read(
    path: Path, watch: Watch
) -> None:
    async with opened(path, watch):
        await spend("a")
        with locked(path):
            with (
                database.patience(0.2),
                pytest.raises(database.DatabaseUnavailable),
            ):
                await spend("b")
            assert await database.look_up_one(LOOK, "a")
        assert await spent() == {"a"}
        watch.at_once()
        await spend("b")
        assert watch.at_once()


async def test_what_is_written_in_the_thread_is_waited_for_without_it(
    path: Path, watch: Watch
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with database.transaction():
            await SpentState.create(digest="a", expires_at=NEVER)
            begun.set()
            await ended.wait()

    async with opened(path, watch):
        holding = asyncio.create_task(hold())
        await begun.wait()
        waiting = [asyncio.create_task(spend(name)) for name in "bcd"]
        await asyncio.sleep(0.05)
        assert not any(each.done() for each in waiting)
        watch.where("INSERT")
        ended.set()
        await asyncio.gather(holding, *waiting)
        assert watch.where("INSERT") == [threading.get_ident()] * 3
        assert await spent() == {*"abcd"}


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


async def test_writes_of_one_moment_share_a_transaction(
    path: Path, watch: Watch
) -> None:
    async with opened(path, watch):
        await asyncio.gather(*(spend(f"{number}") for number in range(10)))
        commands = watch.commands()
        assert (commands["BEGIN"], commands["COMMIT"]) == (1, 1)
        assert commands["INSERT"] == 10
        assert await spent() == {f"{number}" for number in range(10)}


async def test_no_transaction_keeps_the_loop_for_long(path: Path, watch: Watch) -> None:
    names = {f"{number}" for number in range(MOST + 1)}
    async with opened(path, watch):
        await asyncio.gather(*map(spend, names))
        assert watch.commands()["COMMIT"] == 2
        assert await spent() == names


async def test_what_cannot_be_written_is_undone_alone(path: Path, watch: Watch) -> None:
    nothing = "UPDATE spent_states SET digest = 'e' WHERE digest = 'none'"
    async with opened(path, watch):
        results = await asyncio.gather(
            spend("a"),
            spend("b"),
            write(*map(insert, _states("c", "a"))),
            write(*map(insert, _states("d")), Write(nothing, (), needed=True)),
            spend("f"),
            return_exceptions=True,
        )
        told = [type(result) for result in results]
        none = type(None)
        assert told == [none, none, database.Taken, Untouched, none]
        assert watch.commands()["BEGIN"] == 1
        assert await spent() == {"a", "b", "f"}


async def test_all_of_one_moment_wait_for_a_file_that_is_locked(
    path: Path, watch: Watch
) -> None:
    async with opened(path, watch):
        await spend("0")
        with locked(path):
            waiting = [asyncio.create_task(spend(name)) for name in "abc"]
            await asyncio.sleep(0.1)
            assert not any(each.done() for each in waiting)
            watch.commands()
        await asyncio.gather(*waiting)
        assert watch.commands()["COMMIT"] == 1
        assert await spent() == {*"0abc"}


async def test_who_gives_up_before_it_is_written_takes_nobody_along(
    path: Path, watch: Watch
) -> None:
    async with opened(path, watch):
        waiting = [asyncio.create_task(spend(name)) for name in "abc"]
        await asyncio.sleep(0)
        waiting[1].cancel()
        await asyncio.wait(waiting)
        assert waiting[1].cancelled()
        assert await spent() == {*"ac"}


async def test_what_waits_when_the_file_is_closed_is_written(
    path: Path, watch: Watch
) -> None:
    async with opened(path, watch):
        waiting = asyncio.create_task(spend("a"))
        await asyncio.sleep(0)
    await waiting
    async with opened(path, watch):
        assert await spent() == {"a"}


async def test_each_statement_is_told_of_in_the_context_of_who_asked(
    path: Path, watch: Watch
) -> None:
    async def spend_as(name: str) -> None:
        WHO.set(name)
        await spend(name)

    async with opened(path, watch):
        await asyncio.gather(*(spend_as(name) for name in "abc"))
        inserted = [who for command, who in watch.statements if command == "INSERT"]
        assert inserted == [*"abc"]


def _states(*digests: str) -> list[SpentState]:
    return [rows.new(SpentState, digest=digest, expires_at=NEVER) for digest in digests]
