"""When what many ask for at the same moment is done for all of them at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context

# Seconds after which nobody waits for the end of what others have begun.
LONGEST_WAIT = 0.01

# How many of a crowd are waited for, and for how many seconds.
ENOUGH = 6
LONGEST_HOLD = 0.001


class Turns:
    """
    Has `do` run for whoever has asked by then.

    It starts as soon as all have run who are to run in this turn of the loop; after
    several came at once, as soon as so many have come again, or a moment later. So
    crowds stay together, and somebody alone waits for nobody. Sixteen connections'
    logins cost a sixth less: docs/performance.md.

    What is asked for while it runs is done by the next, which follows on its heels: the
    more there is to do, the more is done at once. It runs in the context of whoever was
    the first to ask.
    """

    def __init__(self, do: Callable[[], Coroutine[None, None, None]]) -> None:
        self._do = do
        self._is_due = False
        self._asked = 0
        self._expected = 1
        self._running: set[asyncio.Task[None]] = set()
        # When it begins at the latest, and in which context.
        self._held: tuple[asyncio.TimerHandle, Context] | None = None
        self._next: tuple[asyncio.TimerHandle, Context] | None = None

    def ask(self) -> None:
        """There is something to do."""
        self._asked += 1
        if self._is_due:
            if self._held and self._asked >= self._expected:
                at_the_latest, context = self._held
                at_the_latest.cancel()
                context.run(self._begin)
            return
        self._is_due = True
        if self._running:
            self._next = self._at_the_latest(LONGEST_WAIT)
        else:
            self._hold()

    def _at_the_latest(self, seconds: float) -> tuple[asyncio.TimerHandle, Context]:
        loop = asyncio.get_running_loop()
        return loop.call_later(seconds, self._begin), copy_context()

    def _hold(self) -> None:
        if self._asked >= self._expected:
            self._begin()
        else:
            # No turns are counted meanwhile: they would take another worker's core.
            self._held = self._at_the_latest(LONGEST_HOLD)

    def _begin(self) -> None:
        self._held = self._next = None
        # A task of its own: whoever gives up takes the answer from nobody else.
        task = asyncio.create_task(self._run())
        self._running.add(task)
        task.add_done_callback(self._ended)

    async def _run(self) -> None:
        self._expected = min(self._asked, ENOUGH)
        self._is_due, self._asked = False, 0
        await self._do()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._next is not None:
            at_the_latest, context = self._next
            at_the_latest.cancel()
            self._next = None
            context.run(self._hold)
