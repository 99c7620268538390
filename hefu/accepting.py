"""
Which of several workers takes a connection.

All of them listen on one socket, and asyncio takes whatever waits there as soon as it
wakes: of sixteen clients that come at once one worker gets all, for as long as they
keep their connections, and another core has nothing to do. Here whoever has more than
another gives that one a head start. Sixty-four connections' logins by two workers on
SQLite: a third more (docs/performance.md, "Two workers").

And what is being opened when the server stops is told to stop as well: uvicorn tells
only those that it knows, and waited for the others until they had had their time.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, MutableSequence
from dataclasses import dataclass
from typing import Protocol, cast

logger = logging.getLogger(__name__)

# Seconds for which whoever has more leaves a connection to the others.
HEAD_START = 0.002

# How many are taken in one turn of the loop, as whoever is connected waits for it; and
# after a head start in vain, when the others are busy, stuck or dead.
AT_ONCE = 100
IN_VAIN = 4

# Seconds after which it is tried again where file descriptors or memory are short.
RETRY = 1.0
SHORT = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

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


class Speaker(Protocol):
    """An `asyncio.Protocol` that can be told to say its last."""

    def shutdown(self) -> None: ...


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
        protocol: Callable[[], Speaker],
        open_now: Callable[[], int],
    ) -> None:
        self._listening = listening
        self._share = share
        self._protocol = protocol
        self._open_now = open_now
        self._opening: set[asyncio.Task[None]] = set()
        self._is_closed = False
        listening.setblocking(False)
        self.tell()
        self._task = asyncio.create_task(self._run())

    def tell(self) -> None:
        """Let the others know how many there are by now."""
        self._share.tell(self._open_now() + len(self._opening))

    def close(self) -> None:
        self._is_closed = True
        self._task.cancel()
        asyncio.get_running_loop().remove_reader(self._listening)
        self._share.tell(ABSENT)

    async def wait_closed(self) -> None:
        await asyncio.wait([self._task, *self._opening])

    async def _run(self) -> None:
        while True:
            await self._somebody_waits()
            self.tell()
            in_vain = False
            if self._share.exceeds_anothers():
                await asyncio.sleep(HEAD_START)
                in_vain = self._share.exceeds_anothers()
            try:
                self._take(IN_VAIN if in_vain else 1)
            except OSError as error:
                # accept(2): all but these tell of the one connection, which is gone.
                if error.errno in SHORT:
                    logger.exception("No connection can be taken")
                    await asyncio.sleep(RETRY)

    def _take(self, most: int) -> None:
        """So many, and more as long as nobody else has fewer."""
        for taken in range(AT_ONCE):
            if taken >= most and self._share.exceeds_anothers():
                return
            connection, _ = self._listening.accept()
            task = asyncio.create_task(self._open(connection))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
            self.tell()

    async def _open(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            protocol = self._protocol()
            factory = cast("Callable[[], asyncio.Protocol]", lambda: protocol)
            await loop.connect_accepted_socket(factory, connection)
        except OSError:
            return  # It is gone already.
        if self._is_closed:
            protocol.shutdown()

    async def _somebody_waits(self) -> None:
        loop = asyncio.get_running_loop()
        waits = asyncio.Event()

        def told() -> None:
            loop.remove_reader(self._listening)
            waits.set()

        loop.add_reader(self._listening, told)
        await waits.wait()
