"""`hefu serve`, really: processes of a test's own on one database."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import httpx

from tests.house import SECRET_KEY, House
from tests.step_by_step import SERVE


@dataclass
class Server:
    """One `hefu serve`, started as often as it was killed."""

    environ: dict[str, str] = field(repr=False)
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        command = [*SERVE, "--port", str(self.port)]
        self.process = subprocess.Popen(command, env=self.environ)  # noqa: ASYNC220, S603
        deadline = time.monotonic() + 240
        async with httpx.AsyncClient() as client:
            while time.monotonic() < deadline:
                with suppress(httpx.TransportError):
                    answer = await client.get(f"{self.url}/health/ready")
                    if answer.status_code == 200:
                        return
                assert self.process.poll() is None, "hefu serve did not start"
                await asyncio.sleep(0.05)
        raise AssertionError("hefu serve did not get ready")

    def kill(self) -> None:
        """As when the power fails: nothing is finished, nothing is put away."""
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def environ(house: House, **more: str) -> dict[str, str]:
    """What a process beside the house is told, also the command's."""
    return {
        **os.environ,
        "HEFU_DATABASE_URL": house.database_url,
        "HEFU_SECRET_KEYS": SECRET_KEY,
        "HEFU_WECOM_URL": house.wecom.url,
        "HEFU_RATE_LIMIT_ADDRESS": "off",
        "HEFU_RATE_LIMIT_SOURCE": "off",
        "HEFU_LOG_LEVEL": "error",
        **more,
    }


@asynccontextmanager
async def serving(
    house: House, count: int = 2, **more: str
) -> AsyncGenerator[list[tuple[Server, House]]]:
    """
    So many server processes on the house's database, and a client for each.

    `{url}` in a setting is where the process itself is.
    """
    servers = [_server(house, **more) for _ in range(count)]
    clients = [httpx.AsyncClient(base_url=each.url, timeout=30) for each in servers]
    try:
        await asyncio.gather(*(each.start() for each in servers))
        yield [
            (server, replace(house, client=client))
            for server, client in zip(servers, clients, strict=True)
        ]
    finally:
        for client in clients:
            await client.aclose()
        for server in servers:
            server.stop()


async def command(house: House, *arguments: str, **more: str) -> tuple[int, str]:
    """Run `hefu …`: its exit status, and what it said on standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hefu",
        *arguments,
        env=environ(house, **more),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


def _server(house: House, **more: str) -> Server:
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    given = {name: value.replace("{url}", url) for name, value in more.items()}
    return Server(environ(house, **given), port)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
