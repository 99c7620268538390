"""HEFU_REPLICA_URL: a real streaming replica, asked, behind, gone, frozen, promoted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from tests.conftest import migrated
from tests.faults.cluster import Cluster
from tests.faults.faulty import attempt
from tests.faults.figures import Figure, Stopwatch
from tests.faults.served import environ, hefu
from tests.hefu.collector import collecting
from tests.house import Clock, House, Json, Wecom, open_house, settings

APPS = "{ apps(first: 100) { nodes { name } } }"

# Of every query that a replica may answer, one; and by a fragment, which has no plan.
DIRECTORY = """
query($id: ID!) {
  ...Lists
  node(id: $id) { id } nodes(ids: [$id]) { id }
  app(id: $id) { identitySources { nodes { identifier } } }
  identitySource(identifier: "main") { apps { nodes { name } } }
  user(username: "nobody") { id } identity(issuer: "ww", subject: "x") { id }
}
fragment Lists on Query {
  apps { totalCount nodes { name } } identitySources { nodes { identifier } }
  users { nodes { id identities { subject } sessions { nodes { id } } } }
  auditEvents { nodes { action } } apiKeys { name }
}
"""


@pytest.fixture
def replica(cluster: Cluster, open_folder: Path) -> Generator[Cluster]:
    """Beside the primary's data; it notes each statement in its log."""
    folder = open_folder / "replica"
    folder.mkdir()
    replica = Cluster(folder)
    replica.follow(cluster, "log_statement = all")
    yield replica
    replica.stop("immediate")


@pytest.fixture
async def house(
    cluster: Cluster, replica: Cluster, wecom: Wecom, clock: Clock
) -> AsyncGenerator[House]:
    await migrated(cluster.url)
    given = settings(cluster.url, wecom.url, HEFU_REPLICA_URL=replica.url)
    async with open_house(given, wecom, clock) as house:
        yield house


def asked(replica: Cluster) -> int:
    """How many statements there have been that read Hefu's tables."""
    return (replica.folder / "log").read_text().count(" FROM ") - controls(replica)


def controls(replica: Cluster) -> int:
    """Those that only ask how far the replica is."""
    return (replica.folder / "log").read_text().count("FROM pg_control_system()")


async def read(house: House) -> list[str]:
    data = await house.data(APPS, token=await house.key())
    return [app["name"] for app in data["apps"]["nodes"]]


async def until_asked(house: House, replica: Cluster) -> None:
    """Read until the replica is what answers."""
    before = asked(replica)
    async with asyncio.timeout(60):
        while asked(replica) == before:
            await read(house)
            await asyncio.sleep(0.05)


async def test_an_administrators_queries_are_answered_by_it(
    house: House, replica: Cluster
) -> None:
    app = await house.app(name="First")
    await until_asked(house, replica)
    entrance = await house.entrance(identifier="main")
    await entrance.log_in()
    before = asked(replica)
    key = await house.key()
    data: Json = {}
    # It may be behind for a moment, and is then left alone.
    async with asyncio.timeout(60):
        while asked(replica) - before < 12:
            data = await house.data(DIRECTORY, {"id": app}, token=key)
            await asyncio.sleep(0.1)
    assert data["app"] == {"identitySources": {"nodes": []}}
    assert data["node"] == {"id": app}
    assert data["identitySource"]["apps"]["nodes"] == [{"name": "Example"}]
    assert len(data["users"]["nodes"][0]["sessions"]["nodes"]) == 1


async def test_nothing_else_is(house: House, replica: Cluster) -> None:
    entrance = await house.entrance(app={"adminAccess": True})
    await until_asked(house, replica)
    before, looked = asked(replica), controls(replica)
    login = await entrance.log_in()
    token = login["tokens"]["accessToken"]
    options = "query($id: ID!) { loginOptions(appId: $id) { identitySource } }"
    assert (await house.data(options, {"id": entrance.app_id}))["loginOptions"]
    assert (await house.data("{ me { id sessions { nodes { id } } } }", token=token))[
        "me"
    ]
    # A list beside `me` stays with it, and a mutation's answer with the mutation.
    both = "{ me { id } apps { nodes { id } } }"
    await house.answer(both, token=token)
    await house.answer(both, token=await house.key())
    await house.app(name="Written")
    assert (asked(replica), controls(replica)) == (before, looked)


async def test_who_reads_after_writing_finds_what_was_written(
    house: House, replica: Cluster, figure: Figure
) -> None:
    await house.app(name="0")
    await until_asked(house, replica)
    before = asked(replica)
    for number in range(1, 31):
        await house.app(name=str(number))
        assert str(number) in await read(house)
    figure("of 30 reads after a write the replica answered", asked(replica) - before)


async def test_one_that_is_behind_is_passed_over(
    house: House, replica: Cluster
) -> None:
    await house.app(name="Before")
    await until_asked(house, replica)
    replica.sql("SELECT pg_wal_replay_pause()")
    await house.app(name="After")
    before = asked(replica)
    assert await read(house) == ["Before", "After"]
    assert await read(house) == ["Before", "After"]
    assert asked(replica) == before
    replica.sql("SELECT pg_wal_replay_resume()")
    await until_asked(house, replica)
    assert await read(house) == ["Before", "After"]


async def test_one_that_is_gone_is_missed_by_nobody(
    house: House,
    replica: Cluster,
    figure: Figure,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await house.app(name="First")
    await until_asked(house, replica)
    replica.stop("immediate")
    caplog.clear()
    watch = Stopwatch()
    assert await read(house) == ["First"]
    figure("a list without the replica took", watch.seconds)
    # In words of its own: the primary's silence is what wakes people up.
    assert caplog.messages == ["The replica is passed over: the primary is read"]
    assert (await house.client.get("/health/ready")).status_code == 200
    assert (await attempt(await house.entrance()))[0] == 200
    replica.start()
    await until_asked(house, replica)


async def test_one_that_is_frozen_keeps_nobody_for_long(
    house: House, replica: Cluster, figure: Figure
) -> None:
    await house.app(name="First")
    await until_asked(house, replica)
    processes = replica.silence()
    try:
        watch = Stopwatch()
        lists = await asyncio.gather(*(read(house) for _ in range(20)))
        figure("20 lists beside a frozen replica took", watch.seconds)
        watch = Stopwatch()
        assert await read(house) == ["First"]
        figure("the next list took", watch.seconds)
    finally:
        replica.wake(processes)
    assert lists == [["First"]] * 20
    await until_asked(house, replica)


async def test_one_that_was_promoted_is_none_any_more(
    house: House, replica: Cluster
) -> None:
    await house.app(name="First")
    await until_asked(house, replica)
    replica.sql("SELECT pg_promote()")
    before = asked(replica)
    await house.app(name="Second")
    assert await read(house) == ["First", "Second"]
    assert asked(replica) == before


async def test_one_that_hides_how_far_it_is_is_passed_over(
    cluster: Cluster, replica: Cluster, wecom: Wecom, clock: Clock
) -> None:
    await migrated(cluster.url)
    cluster.sql(
        "CREATE ROLE hefu LOGIN",
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO hefu",
        "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC",
    )
    urls = [each.url.replace("postgres@", "hefu@") for each in (cluster, replica)]
    given = settings(urls[0], wecom.url, HEFU_REPLICA_URL=urls[1])
    async with open_house(given, wecom, clock) as house:
        await house.app(name="First")
        assert await read(house) == ["First"]
        assert asked(replica) == 0


async def test_its_statements_are_told_of(
    cluster: Cluster,
    replica: Cluster,
    wecom: Wecom,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A trace tells of what was asked of the primary, and of the replica too."""
    await migrated(cluster.url)
    given = settings(
        cluster.url, wecom.url, HEFU_REPLICA_URL=replica.url, HEFU_TRACES="on"
    )
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        async with open_house(given, wecom, clock) as house:
            await house.app(name="First")
            await until_asked(house, replica)
        # The last list is the one that the replica answered.
        lists = [
            span
            for span in collector.spans
            if span.attributes.get("hefu.root_fields") == ["apps"]
        ]
        within = [s.name for s in collector.spans if s.parent == lists[-1].id]
    assert within[-4:] == [
        "BEGIN",
        "SELECT now pg_control_system",
        "SELECT apps",
        "COMMIT",
    ]


async def test_check_tells_how_it_is(
    cluster: Cluster, replica: Cluster, wecom: Wecom
) -> None:
    await migrated(cluster.url)
    given = environ(cluster.url, wecom.url)
    await hefu("migrate", given=given)
    given["HEFU_REPLICA_URL"] = replica.url
    done = await hefu("check", given=given)
    assert "\nok   replica: " in done.stdout
    replica.stop("immediate")
    done = await hefu("check", given=given, check=False)
    assert "\nFAIL replica: does not answer" in done.stdout
    assert done.returncode == 1
    given["HEFU_REPLICA_URL"] = cluster.url
    done = await hefu("check", given=given, check=False)
    assert "\nFAIL replica: does not follow the primary -> " in done.stdout
    assert done.returncode == 1
