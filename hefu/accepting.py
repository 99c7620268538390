"""
Which of several workers takes a connection.

All of them listen on one socket, and asyncio takes whatever waits there as soon as it
wakes: of sixty clients that come at once one worker gets nearly all, for as long as
they keep their connections, and another core has nothing to do. Here a worker takes one
at a time, and whoever has more than another gives that one a head start. Logins by two
workers on two cores: 1.10 times one before, and more after (docs/performance.md).
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, MutableSequence
from dataclasses import dataclass

logger = logging.getLogger(__name__)

# Seconds for which whoever has more leaves a connection to the others: they may be
# busy, stuck or dead, and then it is not kept waiting for longer.
HEAD_START = 0.002

# Seconds after which it is tried again where file descriptors or memory are short.
RETRY = 1.0

# In place of a number: a worker that takes no connections, or is not there.
ABSENT = -1


@dataclass(frozen=True, slots=True)
class Share:
    """How many connections each worker has, in memory that they share."""

    counts: MutableSequence[int]
    place: int

    def tell(self, count: int) -> None:
        self.counts[self.place] = count

    def exceeds_anothers(self) -> bool:
        """Whether some other worker has fewer."""
        mine = self.counts[self.place]
        return any(ABSENT < count < mine for count in self.counts)


class Accepting:
    """
    Takes connections from a listening socket, until it is closed.

    `close` and `wait_closed` are those of asyncio's server, for uvicorn.
    """

    def __init__(
        self,
        listening: socket.socket,
        share: Share,
        *,
        protocol: Callable[[], asyncio.Protocol],
        open_now: Callable[[], int],
    ) -> None:
        self._listening = listening
        self._share = share
        self._protocol = protocol
        self._open_now = open_now
        self._opening: set[asyncio.Task[object]] = set()
        listening.setblocking(False)
        self.tell()
        self._task = asyncio.create_task(self._run())

    def tell(self) -> None:
        """Let the others know how many there are by now."""
        self._share.tell(self._open_now() + len(self._opening))

    def close(self) -> None:
        self._task.cancel()
        asyncio.get_running_loop().remove_reader(self._listening)
        self._share.tell(ABSENT)

    async def wait_closed(self) -> None:
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await self._somebody_waits()
            self.tell()
            if self._share.exceeds_anothers():
                await asyncio.sleep(HEAD_START)
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                continue  # Somebody else has taken it, or it is gone.
            except OSError:
                # It still waits, and would be tried again without a pause.
                logger.exception("No connection can be taken")
                await asyncio.sleep(RETRY)
                continue
            self._open(connection)
            self.tell()

    def _open(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        opening = loop.connect_accepted_socket(self._protocol, connection)
        task: asyncio.Task[object] = asyncio.create_task(opening)
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _somebody_waits(self) -> None:
        loop = asyncio.get_running_loop()
        waits = asyncio.Event()

        def told() -> None:
            loop.remove_reader(self._listening)
            waits.set()

        loop.add_reader(self._listening, told)
        await waits.wait()
