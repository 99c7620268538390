"""SQLite by the loop itself, where that keeps nobody waiting."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, closing, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models import SpentState, database, migrating, rows
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
        self.statements: list[tuple[str, str, int]] = []

    def __call__(self, statement: Statement) -> None:
        thread = threading.get_ident()
        self.statements.append((statement.sql.split()[0], WHO.get(), thread))

    def commands(self) -> Counter[str]:
        """How many of each kind since the last look."""
        return Counter(command for command, _, _ in self._since())

    def where(self, command: str) -> list[int]:
        """The threads in which statements of this kind ran since the last look."""
        return [thread for name, _, thread in self._since() if name == command]

    def at_once(self) -> bool:
        """Whether all since the last look ran in this thread."""
        threads = {thread for _, _, thread in self._since()}
        assert threads
        return threads == {threading.get_ident()}

    def _since(self) -> list[tuple[str, str, int]]:
        statements, self.statements = self.statements, []
        return statements


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
    async def spend_impatiently() -> None:
        with database.patience(0.2), pytest.raises(database.DatabaseUnavailable):
            await spend("b")

    async with opened(path, watch):
        await spend("a")
        with locked(path):
            waiting = asyncio.create_task(spend_impatiently())
            await asyncio.sleep(0.05)
            watch.where("SELECT")
            assert await database.look_up_one(LOOK, "a")
            assert watch.where("SELECT") == [threading.get_ident()]
            await waiting
        # Who was told that nothing was done may ask again.
        await asyncio.sleep(0.1)
        assert await spent() == {"a"}
        watch.at_once()
        await spend("b")
        assert watch.at_once()


async def test_those_who_wait_for_a_transaction_are_one_themselves(
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
        watch.commands()
        ended.set()
        await asyncio.gather(holding, *waiting)
        assert watch.commands()["COMMIT"] == 2
        assert await spent() == {*"abcd"}


async def test_they_come_when_it_is_their_turn(path: Path, watch: Watch) -> None:
    done: list[str] = []

    async def create(name: str) -> None:
        await SpentState.create(digest=name, expires_at=NEVER)
        done.append(name)

    async def spend_too(name: str) -> None:
        await spend(name)
        done.append(name)

    async with opened(path, watch):
        with locked(path):
            waiting: list[asyncio.Task[None]] = []
            for each in (create("a"), spend_too("b"), create("c"), create("d")):
                waiting.append(asyncio.create_task(each))
                await asyncio.sleep(0.03)
        await asyncio.gather(*waiting)
        assert done == [*"abcd"]


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
    names = {f"{number}" for number in range(MOST * 2 + 1)}
    async with opened(path, watch):
        waiting = [asyncio.create_task(spend(name)) for name in names]
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    assert not path.with_name("hefu.db-wal").exists()
    async with opened(path, watch):
        assert await spent() == names


async def test_so_it_is_when_somebody_else_writes_while_it_is_closed(
    path: Path, watch: Watch
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        async with opened(path, watch):
            other.execute("BEGIN IMMEDIATE")
            waiting = [asyncio.create_task(spend(name)) for name in "abc"]
            await asyncio.sleep(0.05)
            asyncio.get_running_loop().call_later(0.1, other.rollback)
        await asyncio.gather(*waiting)
    async with opened(path, watch):
        assert await spent() == {*"abc"}


async def test_each_statement_is_told_of_in_the_context_of_who_asked(
    path: Path, watch: Watch
) -> None:
    async def spend_as(name: str) -> None:
        WHO.set(name)
        await spend(name)

    async with opened(path, watch):
        await asyncio.gather(*(spend_as(name) for name in "abc"))
        inserted = [who for command, who, _ in watch.statements if command == "INSERT"]
        assert inserted == [*"abc"]


def _states(*digests: str) -> list[SpentState]:
    return [rows.new(SpentState, digest=digest, expires_at=NEVER) for digest in digests]


async def test_whoever_may_make_the_file_keeps_its_log(tmp_path: Path) -> None:
    """
    Another process that goes takes the log along, unless it sees somebody's lock; and
    closing the file once ends all the locks that a process has on it.
    """
    path = tmp_path / "new.db"
    look = f"import sqlite3; c = sqlite3.connect({str(path)!r}); "
    look += "c.execute('SELECT COUNT(*) FROM apps').fetchall(); c.close()"
    async with database.opened(f"sqlite://{path}", create=True):
        await migrating.migrate()
        await database.look_up("SELECT 1 FROM apps LIMIT 1")
        other = await asyncio.create_subprocess_exec(sys.executable, "-c", look)
        assert await other.wait() == 0
        assert path.with_name("new.db-wal").exists()
        async with database.transaction():
            await database.fetch("CREATE TABLE written (id INTEGER)")
