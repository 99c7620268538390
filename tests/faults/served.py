"""`hefu serve` as operators run it: processes to be killed and stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import httpx

from models import Role
from tests.house import SECRET_KEY, Clock, House, Wecom
from tests.step_by_step import SERVE

ROOT = Path(__file__).parent.parent.parent
HEFU = [sys.executable, "-m", "hefu"]


@dataclass
class Served:
    """A server process, and the house as its clients see it."""

    house: House
    process: subprocess.Popen[bytes]
    port: int

    def signal(self, which: signal.Signals) -> None:
        self.process.send_signal(which)

    async def ended(self) -> int:
        return await asyncio.to_thread(self.process.wait, 30)

    def workers(self) -> list[int]:
        """Of a supervisor, without multiprocessing's own resource tracker."""
        parent = self.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [int(child) for child in children if _is_worker(child)]


def environ(database_url: str, wecom_url: str, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "HEFU_DATABASE_URL": database_url,
        "HEFU_SECRET_KEYS": SECRET_KEY,
        "HEFU_WECOM_URL": wecom_url,
        "HEFU_RATE_LIMIT_ADDRESS": "off",
        "HEFU_RATE_LIMIT_SOURCE": "off",
        "HEFU_LOG_LEVEL": "warning",
        **more,
    }


async def hefu(
    *arguments: str, given: dict[str, str], check: bool = True, root: Path | str = ROOT
) -> Any:
    """The command `hefu`, to its end; `root` is the checkout that it comes from."""
    return await asyncio.to_thread(
        lambda: subprocess.run(  # noqa: S603
            [*HEFU, *arguments],
            env=given,
            check=check,
            capture_output=True,
            text=True,
            cwd=root,
        )
    )


@asynccontextmanager
async def serving(
    database_url: str,
    wecom: Wecom,
    *,
    workers: int = 1,
    key: str | None = None,
    root: Path | str = ROOT,
    **more: str,
) -> AsyncGenerator[Served]:
    """A server on a migrated database, ready."""
    given = environ(database_url, wecom.url, **more)
    if key is None:
        await hefu("migrate", given=given, root=root)
        made = ("create-api-key", "--name", "test", "--role", "OWNER")
        key = (await hefu(*made, given=given, root=root)).stdout.strip()
    port = free_port()
    serve = SERVE if root == ROOT else [*HEFU, "serve"]  # Another has no tests of ours.
    process = subprocess.Popen(  # noqa: ASYNC220, S603
        [*serve, "--port", str(port), "--workers", str(workers)],
        env=given,
        cwd=root,
    )
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}",
        timeout=20,
        limits=httpx.Limits(max_connections=200),
    ) as client:
        house = House(client, cast("Any", None), wecom, Clock(), database_url)
        house.keys[Role.OWNER] = str(key)
        try:
            await ready(client)
            yield Served(house, process, port)
        finally:
            if process.poll() is None:
                process.terminate()
            await asyncio.to_thread(process.wait, 30)


def moved(served: Served, house: House) -> House:
    """The house of before, asked through another server."""
    return replace(house, client=served.house.client)


async def ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(120):
        while True:
            with suppress(httpx.TransportError):
                if (await client.get("/health/ready")).status_code == 200:
                    return
            await asyncio.sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _is_worker(process: str) -> bool:
    return b"spawn_main" in Path(f"/proc/{process}/cmdline").read_bytes()
