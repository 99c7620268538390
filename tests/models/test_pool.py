"""Connections that are lent: one to each, none unfit, no more than there are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import partial

import asyncpg
import pytest

from models.backends.pool import Pool


@pytest.fixture
async def pool(postgres: str) -> AsyncGenerator[Pool]:
    connect = partial(asyncpg.connect, host=postgres, user="postgres")
    pool = Pool(connect, size=2)
    yield pool
    await pool.close()


async def test_one_that_was_given_back_is_lent_again(pool: Pool) -> None:
    first = await pool.lend()
    pool.take_back(first)

    assert await pool.lend() is first
    pool.take_back(first)


async def test_whoever_finds_all_of_them_lent_waits_for_one(pool: Pool) -> None:
    first, second = await pool.lend(), await pool.lend()
    waiting = asyncio.create_task(pool.lend())
    await asyncio.sleep(0)
    assert (pool.in_use, waiting.done()) == (2, False)

    pool.take_back(first)

    assert await waiting is first
    pool.take_back(first)
    pool.take_back(second)
    assert pool.in_use == 0


async def test_one_that_was_left_in_a_transaction_is_not_lent_again(pool: Pool) -> None:
    left = await pool.lend()
    await left.execute("BEGIN")
    pool.take_back(left)

    other = await pool.lend()

    assert other is not left
    pool.take_back(other)


async def test_one_that_broke_is_not_lent_again(pool: Pool) -> None:
    broken = await pool.lend()
    pool.take_back(broken)
    broken.terminate()

    other = await pool.lend()

    assert await other.fetchval("SELECT 1") == 1
    pool.take_back(other)


async def test_one_that_was_interrupted_is_closed_and_its_place_is_free(
    pool: Pool,
) -> None:
    for _ in range(4):
        connection = await pool.lend()
        asked = asyncio.create_task(connection.fetch("SELECT pg_sleep(60)"))
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait([asked])
        pool.drop(connection)

    other = await pool.lend()

    assert await other.fetchval("SELECT 1") == 1
    assert pool.in_use == 1
    pool.take_back(other)


async def test_after_a_failover_none_of_before_is_lent(pool: Pool) -> None:
    resting, lent = await pool.lend(), await pool.lend()
    pool.take_back(resting)
    pool.expire()
    pool.take_back(lent)

    after = [await pool.lend(), await pool.lend()]

    assert not {resting, lent} & set(after)
    for connection in after:
        pool.take_back(connection)


async def test_a_connection_that_cannot_be_made_takes_no_place(postgres: str) -> None:
    connect = partial(asyncpg.connect, host=postgres, user="postgres", database="none")
    pool = Pool(connect, size=1)

    for _ in range(2):
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            await pool.lend()


async def test_one_that_is_closing_lends_nothing_and_waits_for_what_is_lent(
    postgres: str,
) -> None:
    pool = Pool(partial(asyncpg.connect, host=postgres, user="postgres"), size=1)
    lent = await pool.lend()
    closing = asyncio.create_task(pool.close())
    await asyncio.sleep(0)
    assert not closing.done()

    pool.take_back(lent)
    await closing

    assert lent.is_closed()
    with pytest.raises(asyncpg.InterfaceError):
        await pool.lend()
