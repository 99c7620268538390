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

# Seconds after which nobody waits for the end of a statement that others sent.
LONGEST_WAIT = 0.01

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Gathered(Generic[K, V]):
    """
    What `load` finds for keys, asked for all at once.

    What is wanted while a statement is under way goes with the next, which follows on
    its heels: the more there is to do, the more a statement does. Nothing is
    remembered: what is told was read after it was asked for. `load` runs in the context
    of whoever was the first to ask, and outside of any transaction.
    """

    def __init__(self, load: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._load = load
        self._waiting: list[tuple[K, asyncio.Future[V | None]]] = []
        self._loading: set[asyncio.Task[None]] = set()
        self._next: asyncio.Handle | None = None

    async def get(self, key: K) -> V | None:
        """
        What there is for `key`; None where there is nothing.

        :raises DatabaseUnavailable: the database did not answer in time.
        """
        loop = asyncio.get_running_loop()
        if self._next is None:
            # Whoever is to run in this turn asks before that.
            self._next = (
                loop.call_later(LONGEST_WAIT, self._begin)
                if self._loading
                else loop.call_soon(self._begin)
            )
        answer: asyncio.Future[V | None] = loop.create_future()
        self._waiting.append((key, answer))
        # `load` is bounded itself.
        with outages.counted():
            return await answer

    def _begin(self) -> None:
        self._next = None
        waiting, self._waiting = self._waiting, []
        # A task of its own: whoever gives up takes the answer from nobody else.
        task = asyncio.create_task(self._answer(waiting))
        self._loading.add(task)
        task.add_done_callback(self._loaded)

    def _loaded(self, task: asyncio.Task[None]) -> None:
        self._loading.discard(task)
        if self._next is not None:
            self._next.cancel()
            self._begin()

    async def _answer(
        self, waiting: Sequence[tuple[K, asyncio.Future[V | None]]]
    ) -> None:
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
