"""Several writes in one step: all of them, or none."""

from __future__ import annotations

import asyncio
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
