"""Several writes in one step: all of them, or none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator

import pytest

from models import SpentState, database, digests, together
from models.together import Untouched, Write, insert
from services import clock


@pytest.fixture(autouse=True)
async def opened(database_url: str) -> AsyncGenerator[None]:
    async with database.opened(database_url):
        yield


def state(name: str) -> SpentState:
    return SpentState(digest=digests.of(name), expires_at=clock.now())


def rename(name: str, to: str, *, needed: bool = False) -> Write:
    return Write(
        "UPDATE spent_states SET digest = $1 WHERE digest = $2",
        (digests.of(to), digests.of(name)),
        needed,
    )


async def stored() -> set[str]:
    return {row.digest for row in await SpentState.all()}


async def test_all_are_written() -> None:
    await together.write(insert(state("a")), insert(state("b")))

    assert await stored() == {digests.of("a"), digests.of("b")}
    assert [row.expires_at.tzinfo is not None for row in await SpentState.all()]


async def test_none_is_written_where_one_is_taken() -> None:
    await together.write(insert(state("b")))

    with pytest.raises(database.Taken):
        await together.write(insert(state("a")), insert(state("b")))

    assert await stored() == {digests.of("b")}


async def test_none_is_written_where_a_needed_one_touches_nothing() -> None:
    with pytest.raises(Untouched):
        await together.write(insert(state("a")), rename("x", "y", needed=True))

    assert await stored() == set()


async def test_what_is_not_needed_may_touch_nothing() -> None:
    await together.write(insert(state("a")), rename("x", "y"))

    assert await stored() == {digests.of("a")}


async def test_what_is_needed_and_there_is_written() -> None:
    await together.write(insert(state("a")))

    await together.write(insert(state("c")), rename("a", "b", needed=True))

    assert await stored() == {digests.of("b"), digests.of("c")}


async def test_work_goes_on_after_a_refusal() -> None:
    """The connection is not left inside of a transaction."""
    for _ in range(3):
        with pytest.raises(Untouched):
            await together.write(rename("x", "y", needed=True))

    async with database.transaction():
        await state("a").save(force_create=True)

    assert await stored() == {digests.of("a")}


async def test_of_many_at_once_one_is_written() -> None:
    results = await asyncio.gather(
        *(together.write(insert(state("a"))) for _ in range(20)),
        return_exceptions=True,
    )

    assert results.count(None) == 1
    assert {type(result) for result in results} == {type(None), database.Taken}


def statements(caplog: pytest.LogCaptureFixture) -> int:
    return sum(each.name == "tortoise.db_client" for each in caplog.records)


async def test_what_a_crowd_writes_is_sent_together(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"{number}" for number in range(40)]
    await together.write(insert(state("first")))
    with caplog.at_level(logging.DEBUG, "tortoise.db_client"):
        caplog.clear()
        await asyncio.gather(
            *(together.write(insert(state(each)), order=each) for each in names)
        )
        sent = statements(caplog)

    assert await stored() == {digests.of(each) for each in ("first", *names)}
    if database_url.startswith("postgres"):
        assert sent == 2  # Of thirty-two, and of the eight that are left.


async def test_in_a_crowd_each_is_written_or_not_by_itself() -> None:
    await together.write(insert(state("taken")))
    await together.write(insert(state("old")))
    writes = {
        "a": (insert(state("a")), insert(state("b"))),
        "taken": (insert(state("c")), insert(state("taken"))),
        "untouched": (insert(state("d")), rename("x", "y", needed=True)),
        "renamed": (rename("old", "new", needed=True), insert(state("e"))),
    }
    told = await asyncio.gather(
        *(together.write(*each, order=name) for name, each in writes.items()),
        return_exceptions=True,
    )

    assert [type(each) for each in told] == [
        type(None),
        database.Taken,
        Untouched,
        type(None),
    ]
    written = ("a", "b", "taken", "new", "e")
    assert await stored() == {digests.of(each) for each in written}


async def test_of_a_crowd_that_wants_the_same_one_is_written() -> None:
    told = await asyncio.gather(
        *(together.write(insert(state("a")), order="a") for _ in range(20)),
        return_exceptions=True,
    )

    assert told.count(None) == 1
    assert {type(each) for each in told} == {type(None), database.Taken}


async def test_who_leaves_a_crowd_takes_nobody_along() -> None:
    for turns in range(8):
        names = [f"{turns} {number}" for number in range(4)]
        writing = [
            asyncio.create_task(together.write(insert(state(each)), order=each))
            for each in names
        ]
        for _ in range(turns):
            await asyncio.sleep(0)
        writing[0].cancel()
        await asyncio.gather(*writing[1:])
        await asyncio.wait(writing)

        assert {digests.of(each) for each in names[1:]} <= await stored()


@pytest.mark.parametrize("held", ["a", "b"])
async def test_who_waits_for_a_row_keeps_nobody_else_of_a_crowd_waiting(
    database_url: str, held: str
) -> None:
    if database_url.startswith("sqlite"):
        pytest.skip("SQLite has one writer at a time")
    await together.write(insert(state("a")), insert(state("b")))
    touch = "UPDATE spent_states SET expires_at = $1 WHERE digest = $2 RETURNING 1"
    other = "b" if held == "a" else "a"
    begun = asyncio.Event()

    async def write(name: str) -> None:
        await begun.wait()
        await together.write(rename(name, f"{name}2", needed=True), order=name)

    crowd = {name: asyncio.create_task(write(name)) for name in ("a", "b")}
    async with database.transaction():
        await database.fetch(touch, clock.now(), digests.of(held))
        begun.set()
        await asyncio.wait_for(crowd[other], 3)
        assert not crowd[held].done()
        # Nor does it keep what the others of its crowd have written.
        await database.fetch(touch, clock.now(), digests.of(f"{other}2"))
    await crowd[held]

    assert await stored() == {digests.of("a2"), digests.of("b2")}
