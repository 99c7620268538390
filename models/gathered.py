"""
Rows that many requests want at the same moment, by one statement.

A statement of its own costs each request a system call, a wake-up of the database and a
turn of the loop: two fifths of what `{ me { … } }` took (docs/performance.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

from models import outages
from models.turns import Turns

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Gathered(Generic[K, V]):
    """
    What `load` finds for keys, asked for all at once.

    Nothing is remembered: what is told was read after it was asked for. `load` runs in
    the context of whoever was the first to ask, and outside of any transaction.
    """

    def __init__(self, load: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._load = load
        self._waiting: list[tuple[K, asyncio.Future[V | None]]] = []
        self._turns = Turns(self._answer)

    async def get(self, key: K) -> V | None:
        """
        What there is for `key`; None where there is nothing.

        :raises DatabaseUnavailable: the database did not answer in time.
        """
        self._turns.ask()
        answer: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, answer))
        # `load` is bounded itself.
        with outages.counted():
            return await answer

    async def _answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            # Not what the first to ask has left: each waits as long as its own lasts.
            with outages.patience():
                found = await self._load(list(dict.fromkeys(key for key, _ in waiting)))
        except Exception as error:  # noqa: BLE001  Whoever asked is told.
            for _, answer in waiting:
                if not answer.done():
                    answer.set_exception(error)
            return
        except BaseException:
            for _, answer in waiting:
                answer.cancel()
            raise
        for key, answer in waiting:
            if not answer.done():
                answer.set_result(found.get(key))
