"""A database that is not there, not yet, or not any more."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from tortoise.exceptions import OperationalError

from hefu import backups
from hefu.app import create_app
from models import User, database
from services import api_keys
from tests.faults.faulty import UNAVAILABLE
from tests.faults.figures import Figure, Stopwatch
from tests.faults.served import environ, hefu, serving
from tests.house import START, Clock, House, Wecom, lived_in, settings

OPTIONS = '{ loginOptions(appId: "app_01m8emabj3ee2b8a5srb7cmg3t") { displayName } }'
CREATE = """
mutation($input: CreateUserInput!) {
  createUser(input: $input) { user { id } errors { code } } }
"""
BEGIN = {"appId": "app_01m8emabj3ee2b8a5srb7cmg3t", "identitySource": "wecom"}
NOWHERE = "http://127.0.0.1:1"


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite://"))


def told(answer: httpx.Response) -> tuple[int, Any]:
    """As `faulty.UNAVAILABLE` has it."""
    errors = answer.json().get("errors", [])
    return answer.status_code, [
        (error["message"], error["extensions"]) for error in errors
    ]


async def create(house: House, username: str) -> tuple[int, Any]:
    given = {"input": {"username": username}}
    return told(await house.post(CREATE, given, token=await house.key()))


async def status(house: House, path: str) -> int:
    return (await house.client.get(path)).status_code


def names(path: Path) -> set[str]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return {name for (name,) in connection.execute("SELECT username FROM users")}


@asynccontextmanager
async def started(url: str, wecom: Wecom, clock: Clock) -> AsyncGenerator[House]:
    """As `open_house`, which wants a database to put its keys into."""
    given = settings(url, wecom.url)
    app = create_app(given, clock=clock)
    async with lived_in(app):
        transport = httpx.ASGITransport(app=app, client=("203.0.113.7", 1))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://h"
        ) as client:
            yield House(client, app.services, wecom, clock, url)


# ------------------------------------------------------------------------ not yet


async def assert_unavailable(house: House) -> None:
    assert told(await house.post(OPTIONS)) == UNAVAILABLE
    key = api_keys.new_secret()
    assert told(await house.post("{ users { totalCount } }", token=key)) == UNAVAILABLE
    assert told(await house.post(START, {"input": BEGIN})) == UNAVAILABLE
    assert await status(house, "/.well-known/jwks.json") == 503
    assert await status(house, "/health/ready") == 503
    assert await status(house, "/health/live") == 200


async def test_a_database_that_was_not_migrated_is_an_outage(
    empty: str, wecom: Wecom, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with started(empty, wecom, clock) as house:
        await assert_unavailable(house)
        assert "Unexpected error" not in caplog.messages
        if empty.startswith("sqlite"):
            assert list(file_of(empty).parent.iterdir()) == []
        await hefu("migrate", given=environ(empty, wecom.url))
        assert await status(house, "/health/ready") == 200
        assert await status(house, "/.well-known/jwks.json") == 200
        assert await create(house, "zoe") == (200, [])


async def test_a_database_that_the_server_does_not_have_is_an_outage(
    postgres: str, wecom: Wecom, clock: Clock
) -> None:
    url = f"postgres://postgres@/nosuch?host={postgres}"
    async with started(url, wecom, clock) as house:
        await assert_unavailable(house)


async def test_a_file_without_tables_is_an_outage(
    tmp_path: Path, wecom: Wecom, clock: Clock
) -> None:
    path = tmp_path / "hefu.db"
    path.touch()
    async with started(f"sqlite://{path}", wecom, clock) as house:
        await assert_unavailable(house)


async def test_a_folder_that_is_not_there_is_not_made(
    tmp_path: Path, wecom: Wecom, clock: Clock
) -> None:
    path = tmp_path / "folder" / "hefu.db"
    async with started(f"sqlite://{path}", wecom, clock) as house:
        await assert_unavailable(house)
    assert not path.parent.exists()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM nobodys",
        "SELECT nobodys FROM users",
        "SELECT users.id FROM apps",
        "SELECT FROM WHERE",
    ],
)
async def test_wrong_sql_is_a_bug_all_the_same(house: House, sql: str) -> None:
    async def in_a_transaction() -> None:
        async with database.transaction():
            await database.fetch(sql)

    for ask in (database.fetch(sql), database.look_up(sql), in_a_transaction()):
        with pytest.raises(OperationalError):
            await ask


@pytest.mark.parametrize(
    "command",
    [
        ["create-api-key", "--name", "x", "--role", "OWNER"],
        ["prune"],
        ["rotate-keys", "--signing"],
    ],
)
async def test_a_command_makes_no_file(tmp_path: Path, command: list[str]) -> None:
    path = tmp_path / "folder" / "hefu.db"
    done = await hefu(*command, given=environ(f"sqlite://{path}", NOWHERE), check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-2:] == [
        f"The database does not do as it is told: there is no file {path}",
        "Is HEFU_DATABASE_URL right? `hefu migrate` makes a new one.",
    ]
    assert not path.parent.exists()


async def test_a_file_that_is_locked_is_not_waited_for_in_a_thread(
    tmp_path: Path,
) -> None:
    """It would go on waiting when nobody does any more, and hold up a stop."""
    before = threads()
    with closing(sqlite3.connect(tmp_path / "hefu.db", isolation_level=None)) as other:
        other.execute("CREATE TABLE users (id)")
        other.execute("BEGIN EXCLUSIVE")
        async with database.opened(f"sqlite://{tmp_path}/hefu.db"):
            with (
                database.patience(0.3),
                pytest.raises(database.DatabaseUnavailable),
            ):
                await database.fetch("SELECT id FROM users")
        assert threads() <= before


async def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    url = f"sqlite://{tmp_path}/file/hefu.db"
    done = await hefu("migrate", given=environ(url, NOWHERE), check=False)
    assert done.returncode == 1
    assert "Is HEFU_DATABASE_URL right" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_file_that_is_being_filled_is_left_alone(
    path: Path, wecom: Wecom, clock: Clock
) -> None:
    """As `scp` does it: there at once, and whole a while later."""
    whole = content(path)
    fill(path, b"")
    async with started(f"sqlite://{path}", wecom, clock) as house:
        await assert_unavailable(house)
        assert content(path) == b""
        fill(path, whole[:8192])
        await house.post(OPTIONS)
        fill(path, whole)
        await house.services.keys.ensure()
        assert await create(house, "after") == (200, [])
    assert names(path) == {"after"}


# -------------------------------------------------------------------- not any more


@pytest.fixture
def path(tmp_path: Path, sqlite_template: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    path = folder / "hefu.db"
    path.write_bytes(sqlite_template.read_bytes())
    return path


@pytest.fixture
def database_url(path: Path) -> str:
    return f"sqlite://{path}"


def threads() -> set[threading.Thread]:
    """But for the loop's own, which stay for whoever is next."""
    return {each for each in threading.enumerate() if "asyncio" not in each.name}


def content(path: Path) -> bytes:
    return path.read_bytes()


def fill(path: Path, content: bytes) -> None:
    """In place: the file stays the same one."""
    path.write_bytes(content)


def delete(path: Path) -> None:
    for each in path.parent.iterdir():
        each.unlink()


async def test_nothing_is_acknowledged_in_a_file_that_was_deleted(
    house: House, path: Path, tmp_path: Path, figure: Figure
) -> None:
    copy = tmp_path / "copy.db"
    assert await create(house, "before") == (200, [])
    backups.copy(house.database_url, copy)
    delete(path)
    assert await create(house, "after") == UNAVAILABLE
    for _ in range(2):
        assert await create(house, "later") == UNAVAILABLE
        assert told(await house.post(OPTIONS)) == UNAVAILABLE
        assert await status(house, "/health/ready") == 503
        await asyncio.sleep(0.1)
    assert list(path.parent.iterdir()) == []
    copy.rename(path)
    watch = Stopwatch()
    assert await create(house, "restored") == (200, [])
    figure("work resumed after", watch.seconds)
    assert await status(house, "/health/ready") == 200
    assert names(path) == {"before", "restored"}


async def test_so_it_is_for_writes_of_one_moment(house: House, path: Path) -> None:
    await house.key()
    delete(path)
    answers = await asyncio.gather(*(create(house, f"u{n}") for n in range(10)))
    assert answers == [UNAVAILABLE] * 10


async def test_a_transaction_in_a_file_that_was_deleted_is_none(
    house: House, path: Path
) -> None:
    async def change() -> None:
        async with database.transaction():
            await User.all().update(display_name="x")
            delete(path)

    with pytest.raises(database.DatabaseUnavailable):
        await change()
    assert await status(house, "/health/ready") == 503


async def test_a_file_that_was_replaced_is_served(
    house: House, path: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    assert await create(house, "before") == (200, [])
    backups.copy(house.database_url, copy)
    assert await create(house, "lost") == (200, [])
    delete(path)
    copy.rename(path)
    await asyncio.sleep(0.1)
    assert await create(house, "after") == (200, [])
    assert names(path) == {"before", "after"}


async def test_a_log_that_was_deleted_takes_nothing_along(
    path: Path, wecom: Wecom
) -> None:
    """Nothing is acknowledged without it; what was before is kept by a stop."""
    async with serving(f"sqlite://{path}", wecom) as served:
        assert await create(served.house, "before") == (200, [])
        path.with_name("hefu.db-wal").unlink()
        assert await create(served.house, "after") == UNAVAILABLE
        assert await status(served.house, "/health/ready") == 503
        assert not path.with_name("hefu.db-wal").exists()
    assert "before" in names(path)


async def test_a_folder_may_have_another_name_by_now(
    path: Path, tmp_path: Path, wecom: Wecom, clock: Clock
) -> None:
    link = tmp_path / "data"
    link.symlink_to(path.parent)
    async with started(f"sqlite://{link}/hefu.db", wecom, clock) as house:
        await house.services.keys.ensure()
        assert await create(house, "before") == (200, [])
        link.unlink()
        renamed = path.parent.rename(tmp_path / "renamed")
        link.symlink_to(renamed)
        await asyncio.sleep(0.1)
        assert await create(house, "after") == (200, [])
    assert names(renamed / "hefu.db") == {"before", "after"}


async def test_a_link_to_the_file_may_lead_to_another(
    path: Path, tmp_path: Path, wecom: Wecom, clock: Clock
) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(path)
    async with started(f"sqlite://{link}", wecom, clock) as house:
        await house.services.keys.ensure()
        assert await create(house, "here") == (200, [])
        backups.copy(f"sqlite://{path}", tmp_path / "copy.db")
        (tmp_path / "new").symlink_to(tmp_path / "copy.db")
        (tmp_path / "new").rename(link)
        await asyncio.sleep(0.1)
        assert await create(house, "there") == (200, [])
    assert names(path) == {"here"}
    assert names(tmp_path / "copy.db") == {"here", "there"}


# ------------------------------------------------------------------------- too new


async def test_a_newer_major_is_told_by_every_command(house: House) -> None:
    await database.fetch(
        "INSERT INTO tortoise_migrations (app, name, applied_at)"
        " VALUES ('models', '9999_other_breaking', CURRENT_TIMESTAMP)"
    )
    given = environ(house.database_url, NOWHERE)
    key = ["create-api-key", "--name", "x", "--role", "OWNER"]
    for command in (["migrate"], key, ["prune"]):
        done = await hefu(*command, given=given, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (
            1,
            "",
            "The database is of a newer major version: install that one.\n",
        )
    ready = await house.client.get("/health/ready")
    assert ready.status_code == 503
    assert ready.json() == {"status": "the database is of a newer major version"}


async def test_a_newer_one_of_the_same_major_is_up_to_date(house: House) -> None:
    await database.fetch(
        "INSERT INTO tortoise_migrations (app, name, applied_at)"
        " VALUES ('models', '9999_other', CURRENT_TIMESTAMP)"
    )
    done = await hefu("migrate", given=environ(house.database_url, NOWHERE))
    assert done.stderr == "The database is up to date.\n"
    assert await status(house, "/health/ready") == 200
