"""What an operator does on a bad day: `hefu check`, `hefu backup`, a restore."""

from __future__ import annotations

import asyncio
import base64
import os
import shlex
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from models import ServerKey, database
from tests.faults.cluster import Cluster
from tests.faults.faulty import attempt, attempts
from tests.faults.figures import Figure, Stopwatch
from tests.faults.served import HEFU, ROOT, environ, hefu, serving
from tests.house import Entrance, House, Json, Wecom
from wecom.sandbox import examples

OTHER_KEY = base64.b64encode(b"f" * 32).decode()
REFRESH = """
mutation($token: String!) { refreshSession(input: {refreshToken: $token}) {
  __typename
  ... on RefreshedSession { tokens { refreshToken } }
  ... on LoginFailure { code } } }
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


async def test_names_that_are_no_settings_are_told(house: House) -> None:
    """A setting that is misspelt does nothing, and the server says nothing."""
    status, lines = await check(
        house, HEFU_TRUSTED_PROXY="10.0.0.1", HEFU_SERVICE_HOST="10.0.0.2"
    )
    assert status == 0
    assert lines[0].startswith("warn settings: HEFU_SERVICE_HOST is none of Hefu's")
    assert lines[1].endswith("-> is HEFU_TRUSTED_PROXIES meant?")
    _, lines = await check(house, HEFU_SECRET_KEY="x", HEFU_SECRET_KEYS="")
    assert lines[0].endswith("-> is HEFU_SECRET_KEYS meant?")
    assert lines[1].startswith("FAIL settings: HEFU_SECRET_KEYS: is not set")


async def test_a_database_that_was_not_migrated(empty: str) -> None:
    if empty.startswith("sqlite"):
        _file(empty).touch()
    done = await hefu("check", given=environ(empty, "http://127.0.0.1:1"), check=False)
    assert done.returncode == 1
    assert done.stdout.endswith("-> run `hefu migrate`\n")


async def test_a_file_that_is_not_there_is_not_made(
    house: House, tmp_path: Path
) -> None:
    path = tmp_path / "folder" / "new.db"
    status, lines = await check(house, HEFU_DATABASE_URL=f"sqlite://{path}")
    assert status == 1
    assert lines[-1].startswith(f"FAIL database: the file {path} is not there -> ")
    assert not path.parent.exists()


@pytest.mark.parametrize("there", ["no database", "a folder"])
async def test_a_file_that_is_no_database_is_a_sentence(
    tmp_path: Path, there: str
) -> None:
    path = tmp_path / "hefu.db"
    path.mkdir() if there == "a folder" else path.write_bytes(b"x" * 5000)
    given = environ(f"sqlite://{path}", "http://127.0.0.1:1")
    done = await hefu("check", given=given, check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("FAIL database: ")
    assert "Traceback" not in done.stderr
    owner = ("create-api-key", "--name", "x", "--role", "OWNER")
    done = await hefu(*owner, given=given, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


async def test_each_finding_is_one_line(house: House, tmp_path: Path) -> None:
    """asyncpg tells in two lines that nobody named a certificate."""
    url = "postgres://hefu@127.0.0.1:1/hefu?sslmode=verify-full"
    status, lines = await check(house, HEFU_DATABASE_URL=url, HOME=str(tmp_path))
    assert (status, len(lines)) == (1, 2)
    assert lines[1].endswith("-> name the file in HEFU_DATABASE_URL: sslrootcert=")


@pytest.mark.skipif(os.geteuid() != 0, reason="gives away root's rights to any file")
async def test_a_file_that_may_not_be_written(file_url: str) -> None:
    _file(file_url).chmod(0o444)
    given = environ(file_url, "http://127.0.0.1:1")
    unprivileged = "setpriv --bounding-set=-dac_override --inh-caps=-dac_override"
    done = await _shell(f"{unprivileged} {shlex.join(HEFU)} check", given)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("FAIL database: takes no writes (")


async def test_a_file_is_as_it_was_after_a_check(file_url: str) -> None:
    """Whether it takes writes is tried, and undone."""
    before = _schema(file_url)
    await hefu("check", given=environ(file_url, "http://127.0.0.1:1"), check=False)
    assert _schema(file_url) == before


def _schema(url: str) -> list[tuple[str]]:
    connection = sqlite3.connect(_file(url))
    return connection.execute("SELECT name FROM sqlite_master").fetchall()


def _file(url: str) -> Path:
    return Path(url.removeprefix("sqlite://"))


async def _shell(
    command: str, given: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        lambda: subprocess.run(  # noqa: S603
            ["bash", "-c", command],  # noqa: S607
            env=given,
            check=False,
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
    )


async def test_a_postgres_that_takes_no_writes(
    cluster: Cluster, open_folder: Path
) -> None:
    given = environ(cluster.url, "http://127.0.0.1:1")
    cluster.sql("ALTER DATABASE hefu SET default_transaction_read_only = on")
    done = await hefu("check", given=given, check=False)
    assert done.returncode == 1
    assert "takes no writes (transaction_read_only is on) -> " in done.stdout
    folder = open_folder / "standby"
    folder.mkdir()
    standby = Cluster(folder)
    standby.follow(cluster)
    try:
        given["HEFU_DATABASE_URL"] = standby.url
        done = await hefu("check", given=given, check=False)
    finally:
        standby.stop("immediate")
    assert done.returncode == 1
    assert "takes no writes (it is a standby) -> name the primary" in done.stdout


async def test_a_reader_that_has_enough_is_no_error(file_url: str) -> None:
    given = environ(file_url, "http://127.0.0.1:1")
    await hefu("migrate", given=given)
    done = await _shell(f"{shlex.join(HEFU)} check | head -1", given)
    assert (done.stdout, done.stderr) == ("ok   settings: all can be read\n", "")


async def test_keys_that_were_lost(house: House) -> None:
    await house.entrance()
    status, lines = await check(house, HEFU_SECRET_KEYS=OTHER_KEY)
    assert status == 1
    failed = [line for line in lines if line.startswith("FAIL")]
    assert failed[0].startswith("FAIL keys: ")
    assert failed[1].startswith("FAIL source ")


async def test_keys_that_are_not_there(house: House) -> None:
    await ServerKey.all().delete()
    status, lines = await check(house)
    assert status == 1
    assert "FAIL keys: there are none -> run `hefu migrate`" in lines


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
        # It needs no key: whoever makes backups need not have one.
        await hefu("backup", str(copy), given={**given, "HEFU_SECRET_KEYS": ""})
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


async def refreshed(entrance: Entrance, login: Json) -> str:
    result: str = (await refreshing(entrance, login))["__typename"]
    return result


async def refreshing(entrance: Entrance, login: Json) -> Json:
    token = login["tokens"]["refreshToken"]
    data = await entrance.house.data(REFRESH, {"token": token})
    result: Json = data["refreshSession"]
    return result


async def test_what_an_old_copy_brings_back(
    file_url: str, wecom: Wecom, tmp_path: Path
) -> None:
    """
    A token that was replaced after the copy was made counts again, and makes the very
    replacement that the phone may have by now.
    """
    copy = tmp_path / "copy.db"
    async with serving(file_url, wecom) as served:
        entrance = await served.house.entrance()
        login = await entrance.log_in()
        await hefu("backup", str(copy), given=environ(file_url, wecom.url))
        phone = await refreshing(entrance, login)
        key = next(iter(served.house.keys.values()))
    async with serving(f"sqlite://{copy}", wecom, key=key) as served:
        restored = Entrance(
            served.house, entrance.app_id, entrance.source_id, entrance.identifier
        )
        assert await refreshed(restored, phone) == "LoginFailure"
        again = await refreshing(restored, login)
        assert again["tokens"]["refreshToken"] == phone["tokens"]["refreshToken"]
        assert await refreshed(restored, phone) == "RefreshedSession"


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


async def test_how_it_goes_on_without_the_secret_keys(
    database_url: str, wecom: Wecom
) -> None:
    """As the docs say, where the key never comes back."""
    async with serving(database_url, wecom) as served:
        entrance = await served.house.entrance()
        before = await entrance.log_in()
        key = next(iter(served.house.keys.values()))
    async with database.opened(database_url):
        await database.fetch("DELETE FROM server_keys")
    anew = environ(database_url, wecom.url, HEFU_SECRET_KEYS=OTHER_KEY)
    await hefu("migrate", given=anew)
    async with serving(
        database_url, wecom, key=key, HEFU_SECRET_KEYS=OTHER_KEY
    ) as served:
        there = Entrance(
            served.house, entrance.app_id, entrance.source_id, entrance.identifier
        )
        # The API key serves as before.
        entered = await served.house.mutate(
            "updateWecomMobileIdentitySource",
            {"id": entrance.source_id, "secret": examples.AGENT.secret},
            "errors { code }",
            token=key,
        )
        assert entered == {"errors": []}
        token = {"token": before["tokens"]["refreshToken"]}
        data = await served.house.data(REFRESH, token)
        assert data["refreshSession"]["code"] == "INVALID_REFRESH_TOKEN"
        after = await there.log_in()
    assert after["resolution"] == "LINKED"
    assert after["user"] == before["user"]
    status = await hefu("check", given=anew, check=False)
    assert "FAIL" not in status.stdout


async def test_a_postgres_is_for_pg_dump(tmp_path: Path) -> None:
    given = environ("postgres://h@localhost/hefu", "http://127.0.0.1:1")
    done = await hefu("backup", str(tmp_path / "x"), given=given, check=False)
    assert done.returncode == 1
    assert "pg_dump" in done.stderr
    assert examples.AGENT.secret not in done.stderr
