"""What an operator does on a bad day: `hefu check`, `hefu backup`, a restore."""

from __future__ import annotations

import asyncio
import base64
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.faults.faulty import attempt, attempts
from tests.faults.figures import Figure, Stopwatch
from tests.faults.served import environ, hefu, serving
from tests.house import Entrance, House, Wecom
from wecom.sandbox import examples

OTHER_KEY = base64.b64encode(b"f" * 32).decode()
REFRESH = """
mutation($token: String!) { refreshSession(input: {refreshToken: $token}) {
  __typename ... on LoginFailure { code } } }
"""


async def check(house: House, **more: str) -> tuple[int, list[str]]:
    given = environ(house.database_url, house.wecom.url, **more)
    done = await hefu("check", given=given, check=False)
    return done.returncode, done.stdout.splitlines()


async def test_all_is_well(house: House) -> None:
    await house.entrance(identifier="main")
    status, lines = await check(house)
    assert status == 0
    assert [line.partition(":")[0] for line in lines] == [
        "ok   settings",
        "ok   database",
        "ok   migrations",
        "ok   keys",
        "ok   clock",
        "ok   source main",
    ]


async def test_each_setting_is_named(house: House) -> None:
    status, lines = await check(house, HEFU_SECRET_KEYS="x", HEFU_GRAPHIQL="perhaps")
    assert status == 1
    assert [line.partition(" is")[0].split(":")[1].strip() for line in lines] == [
        "HEFU_SECRET_KEYS",
        "HEFU_GRAPHIQL",
    ]


async def test_a_database_that_is_not_there(house: House) -> None:
    url = "postgres://hefu:hunter2@127.0.0.1:1/hefu"
    status, lines = await check(house, HEFU_DATABASE_URL=url)
    assert status == 1
    assert lines[-1].startswith("FAIL database: does not answer")
    assert "hunter2" not in "".join(lines)


async def test_a_database_that_was_not_migrated(house: House, tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/new.db"
    status, lines = await check(house, HEFU_DATABASE_URL=url)
    assert status == 1
    assert lines[-1].endswith("-> run `hefu migrate`")


async def test_keys_that_were_lost(house: House) -> None:
    await house.entrance()
    status, lines = await check(house, HEFU_SECRET_KEYS=OTHER_KEY)
    assert status == 1
    failed = [line for line in lines if line.startswith("FAIL")]
    assert failed[0].startswith("FAIL keys: ")
    assert failed[1].startswith("FAIL source ")


async def test_a_wrong_secret_is_sent_once(house: House, wecom: Wecom) -> None:
    await house.source(identifier="wrong", secret="not-the-secret")
    first, _ = await check(house)
    asked = wecom.calls("gettoken")
    second, lines = await check(house)
    assert (first, second) == (1, 1)
    assert wecom.calls("gettoken") == asked
    assert lines[-1].startswith("FAIL source wrong: ")
    assert " -> " in lines[-1]
    assert "not-the-secret" not in "".join(lines)


@pytest.fixture
def file_url(tmp_path: Path, sqlite_template: Path) -> str:
    path = tmp_path / "hefu.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite://{path}"


async def test_a_backup_while_it_serves_can_be_restored(
    file_url: str, wecom: Wecom, tmp_path: Path, figure: Figure
) -> None:
    given = environ(file_url, wecom.url)
    copy = tmp_path / "copy.db"
    async with serving(file_url, wecom) as served:
        entrance = await served.house.entrance()
        before = await entrance.log_in()
        logins = asyncio.create_task(attempts(entrance, 60))
        watch = Stopwatch()
        await hefu("backup", str(copy), given=given)
        figure("a backup beside 60 logins took", watch.seconds)
        assert [status for status, _ in await logins] == [200] * 60
        after = await entrance.log_in("lisi")
        again = await hefu("backup", str(copy), given=given, check=False)
        assert "is not overwritten" in again.stderr
        key = served.house.keys
    assert copy.stat().st_mode & 0o777 == 0o600
    assert sqlite3.connect(copy).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    async with serving(
        f"sqlite://{copy}", wecom, key=next(iter(key.values()))
    ) as served:
        restored = Entrance(
            served.house, entrance.app_id, entrance.source_id, entrance.identifier
        )
        # Who logged in before the copy still is; who did after it must do so again.
        assert await refreshed(restored, before) == "RefreshedSession"
        assert await refreshed(restored, after) == "LoginFailure"
        assert (await attempt(restored))[0] == 200


async def refreshed(entrance: Entrance, login: dict[str, dict[str, str]]) -> str:
    token = login["tokens"]["refreshToken"]
    data = await entrance.house.data(REFRESH, {"token": token})
    result: str = data["refreshSession"]["__typename"]
    return result


async def test_what_an_old_copy_brings_back(
    file_url: str, wecom: Wecom, tmp_path: Path
) -> None:
    """A token that was replaced after the copy was made counts again."""
    copy = tmp_path / "copy.db"
    async with serving(file_url, wecom) as served:
        entrance = await served.house.entrance()
        login = await entrance.log_in()
        await hefu("backup", str(copy), given=environ(file_url, wecom.url))
        assert await refreshed(entrance, login) == "RefreshedSession"
        key = next(iter(served.house.keys.values()))
    async with serving(f"sqlite://{copy}", wecom, key=key) as served:
        restored = Entrance(
            served.house, entrance.app_id, entrance.source_id, entrance.identifier
        )
        assert await refreshed(restored, login) == "RefreshedSession"


async def test_what_losing_the_secret_keys_means(file_url: str, wecom: Wecom) -> None:
    """Nobody is logged in or refreshed until the key is back; nothing is lost."""
    async with serving(file_url, wecom) as served:
        entrance = await served.house.entrance()
        login = await entrance.log_in()
        key = next(iter(served.house.keys.values()))
    async with serving(file_url, wecom, key=key, HEFU_SECRET_KEYS=OTHER_KEY) as served:
        lost = Entrance(
            served.house, entrance.app_id, entrance.source_id, entrance.identifier
        )
        token = {"token": login["tokens"]["refreshToken"]}
        answer = await lost.house.answer(REFRESH, token)
        assert answer["errors"][0]["extensions"]["code"] == "INTERNAL"
    async with serving(file_url, wecom, key=key) as served:
        back = Entrance(
            served.house, entrance.app_id, entrance.source_id, entrance.identifier
        )
        assert await refreshed(back, login) == "RefreshedSession"


async def test_a_postgres_is_for_pg_dump(tmp_path: Path) -> None:
    given = environ("postgres://h@localhost/hefu", "http://127.0.0.1:1")
    done = await hefu("backup", str(tmp_path / "x"), given=given, check=False)
    assert done.returncode == 1
    assert "pg_dump" in done.stderr
    assert examples.AGENT.secret not in done.stderr
