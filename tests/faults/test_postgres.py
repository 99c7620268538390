"""PostgreSQL locked, killed, restarted, gone, silent and read-only, under logins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import asyncpg
import httpx
import pytest

from models import database
from tests.conftest import migrated
from tests.faults.cluster import Cluster
from tests.faults.faulty import (
    UNAVAILABLE,
    attempt,
    attempts,
    holds,
    is_unavailable,
    resumed,
    until_unavailable,
)
from tests.faults.figures import Figure, Stopwatch
from tests.faults.served import environ, hefu
from tests.house import Clock, Entrance, House, Wecom, open_house, settings


@pytest.fixture
async def house(cluster: Cluster, wecom: Wecom, clock: Clock) -> AsyncGenerator[House]:
    await migrated(cluster.url)
    async with open_house(settings(cluster.url, wecom.url), wecom, clock) as house:
        yield house


@pytest.fixture
async def entrance(house: House) -> Entrance:
    entrance = await house.entrance()
    await entrance.log_in()
    return entrance


async def ready(house: House) -> httpx.Response:
    return await house.client.get("/health/ready")


async def test_a_role_that_lacks_rights_is_an_outage_and_a_sentence(
    cluster: Cluster, wecom: Wecom, clock: Clock
) -> None:
    await migrated(cluster.url)
    rights = "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public"
    cluster.sql("CREATE ROLE hefu LOGIN", f"GRANT {rights} TO hefu")
    url = cluster.url.replace("postgres@", "hefu@")
    async with open_house(settings(url, wecom.url), wecom, clock) as house:
        entrance = await house.entrance()
        await entrance.log_in()
        cluster.sql(f"REVOKE {rights} FROM hefu")
        assert (await ready(house)).status_code == 503
        assert is_unavailable(await attempt(entrance))
        given = environ(url, wecom.url)
        done = await hefu("check", given=given, check=False)
        assert done.returncode == 1
        said = "FAIL database: this role may not read and write api_keys, apps, "
        assert done.stdout.splitlines()[-1].startswith(said)
        made = ("create-api-key", "--name", "x", "--role", "OWNER")
        done = await hefu(*made, given=given, check=False)
        assert done.returncode == 1
        assert "Grant the role in HEFU_DATABASE_URL" in done.stderr
        assert "Traceback" not in done.stderr
        cluster.sql("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
        done = await hefu("check", given=given, check=False)
        said = "FAIL database: no schema of the search_path is there and may be used ->"
        assert done.stdout.splitlines()[-1].startswith(said)
        cluster.sql("GRANT USAGE ON SCHEMA public TO hefu", f"GRANT {rights} TO hefu")
        done = await hefu("migrate", given=given)
        assert done.stderr == "The database is up to date.\n"
        assert (await ready(house)).status_code == 200
        await entrance.log_in()


async def test_a_lock_of_three_seconds_is_waited_for(
    cluster: Cluster, entrance: Entrance, figure: Figure
) -> None:
    locked = await asyncpg.connect(
        host=str(cluster.folder), user="postgres", database="hefu"
    )
    lock = locked.transaction()
    await lock.start()
    await locked.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
    watch = Stopwatch()
    logins = asyncio.create_task(attempts(entrance, 20))
    await asyncio.sleep(3)
    await lock.rollback()
    answers = await logins
    figure("20 logins on a table locked for 3 s took", watch.seconds)
    assert [status for status, _ in answers] == [200] * 20
    await locked.close()
    await holds()


async def test_a_lock_without_end_is_not(
    cluster: Cluster, entrance: Entrance, figure: Figure
) -> None:
    locked = await asyncpg.connect(
        host=str(cluster.folder), user="postgres", database="hefu"
    )
    lock = locked.transaction()
    await lock.start()
    await locked.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
    watch = Stopwatch()
    # Three for each connection of the pool.
    answers = await attempts(entrance, 30)
    figure("30 logins on a locked table were answered UNAVAILABLE in", watch.seconds)
    assert answers == [UNAVAILABLE] * 30
    await lock.rollback()
    figure("work resumed after", await resumed(entrance))
    await locked.close()
    await holds()


async def test_backends_killed(
    cluster: Cluster, entrance: Entrance, figure: Figure
) -> None:
    logins = asyncio.create_task(attempts(entrance, 40))
    for _ in range(5):
        await asyncio.sleep(0.1)
        await asyncio.to_thread(
            cluster.sql,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = 'hefu'",
        )
    answers = await logins
    figure("work resumed after", await resumed(entrance))
    figure("of 40 logins under 5 killings", f"{count(answers)} answered")
    assert all(
        status == 200 or is_unavailable((status, body)) for status, body in answers
    )
    await holds()


async def test_restarted(cluster: Cluster, entrance: Entrance, figure: Figure) -> None:
    logins = asyncio.create_task(attempts(entrance, 40))
    await asyncio.to_thread(cluster.restart)
    figure("work resumed after", await resumed(entrance))
    answers = await logins
    figure("of 40 logins under a restart", f"{count(answers)} answered")
    assert all(
        status == 200 or is_unavailable((status, body)) for status, body in answers
    )
    await holds()


async def test_gone_for_four_seconds(
    cluster: Cluster, house: House, entrance: Entrance, figure: Figure
) -> None:
    await asyncio.to_thread(cluster.stop, "immediate")
    watch = Stopwatch()
    answers = await attempts(entrance, 30)
    figure("30 logins without a database were answered in", watch.seconds)
    assert answers == [UNAVAILABLE] * 30
    watch = Stopwatch()
    assert (await ready(house)).status_code == 503
    figure("readiness said 503 after", watch.seconds)
    assert (await house.client.get("/health/live")).status_code == 200
    await asyncio.sleep(4)
    await asyncio.to_thread(cluster.start)
    figure("work resumed after", await resumed(entrance))
    assert (await ready(house)).status_code == 200
    await holds()


async def test_silent(
    cluster: Cluster, house: House, entrance: Entrance, figure: Figure
) -> None:
    processes = cluster.silence()
    try:
        watch = Stopwatch()
        answers, probe = await asyncio.gather(
            attempts(entrance, 30), timed(house, figure)
        )
        figure("30 logins on a frozen server were answered in", watch.seconds)
    finally:
        cluster.wake(processes)
    assert answers == [UNAVAILABLE] * 30
    assert probe == 503
    figure("work resumed after", await resumed(entrance))
    await holds()


async def timed(house: House, figure: Figure) -> int:
    watch = Stopwatch()
    status = (await ready(house)).status_code
    figure("readiness said 503 after", watch.seconds)
    return status


async def test_read_only(
    cluster: Cluster, house: House, entrance: Entrance, figure: Figure
) -> None:
    key = await house.key()
    cluster.sql(
        "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"
    )
    await until_unavailable(entrance)
    assert await attempts(entrance, 15) == [UNAVAILABLE] * 15
    assert (await house.data("{ apps(first: 1) { totalCount } }", token=key))["apps"]
    assert (await ready(house)).status_code == 200
    cluster.sql(
        "SET default_transaction_read_only = off",
        "ALTER SYSTEM RESET default_transaction_read_only",
        "SELECT pg_reload_conf()",
    )
    figure("work resumed after", await resumed(entrance))
    await holds()


async def test_requests_that_are_given_up_leave_nothing_behind(
    cluster: Cluster, entrance: Entrance
) -> None:
    for number in range(60):
        with suppress(TimeoutError):
            async with asyncio.timeout(number / 1500):
                await attempt(entrance)
    assert (await attempt(entrance))[0] == 200
    await holds()
    open_ = (
        "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    )
    assert cluster.sql(open_) == "0"


async def test_what_a_statement_does_wrong_is_no_outage(entrance: Entrance) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011
        await database.fetch("SELECT nonsense FROM sessions")
    assert not isinstance(raised.value, database.DatabaseUnavailable)


def count(answers: list[tuple[int, object]]) -> int:
    return sum(status == 200 for status, _ in answers)
