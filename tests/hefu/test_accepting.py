from __future__ import annotations

import asyncio
import socket

from hefu.accepting import Accepting, Share


class Told(asyncio.Protocol):
    """Whether it was told to stop."""

    stopped = False

    def shutdown(self) -> None:
        self.stopped = True


async def test_what_is_being_opened_at_a_stop_is_told_as_well() -> None:
    """uvicorn tells those that it knows, and waits for this one."""
    protocol, share = Told(), Share([0], 0)
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()),
    ):
        accepting = Accepting(
            listening, share, protocol=lambda: protocol, open_now=lambda: 0
        )
        async with asyncio.timeout(10):
            while share.counts[0] != 1:  # noqa: ASYNC110  Not a turn later.
                await asyncio.sleep(0)
        accepting.close()
        await accepting.wait_closed()
    assert protocol.stopped
