"""Runs an ASGI application on loopback, beside whatever else this loop does."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Generator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from wecom.sandbox.faults import TRANSPORT


class OpenProtocol(HttpToolsProtocol):
    """Hands the application its connection, so that a fault can break it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.access_log = False  # WeCom's URLs hold secrets, the sandbox's too.
        self.scope["extensions"] = {TRANSPORT: {"transport": self.transport}}


class Server(uvicorn.Server):
    """Says when it is up, and leaves the process's signals to the process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@contextlib.asynccontextmanager
async def running(app: ASGIApp, *, port: int = 0) -> AsyncGenerator[str]:
    """Yields the base URL. A `port` of 0 takes any that is free."""
    server = Server(configured(app))
    with socket.create_server(("127.0.0.1", port)) as listening:
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            await server.up.wait()
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


def configured(app: ASGIApp, *, port: int = 0) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        port=port,
        loop="asyncio",
        http=OpenProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=60,
    )
