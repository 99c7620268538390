"""`hefu serve` in a process of its own, and what it takes while it is attacked."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

import httpx

from models import Role
from tests.house import SECRET_KEY, Clock, House, Wecom
from tests.step_by_step import SERVE

ROOT = Path(__file__).parent.parent.parent
MIB = 1024 * 1024


@dataclass
class Served:
    """A server process, its log, and an owner's key."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    key: str = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def exchange(self, sent: bytes) -> bytes:
        """Everything that comes back until the server hangs up."""
        with self.connect() as connection:
            # A server that hangs up on unread bytes sends a reset.
            with suppress(ConnectionResetError, BrokenPipeError):
                connection.sendall(sent)
            return read_all(connection)

    def ask(self, query: str, variables: Any = None, **headers: str) -> httpx.Response:
        body = {"query": query, "variables": variables or {}}
        return httpx.post(f"{self.url}/graphql", json=body, headers=headers, timeout=30)

    def memory(self) -> int:
        """Bytes at the most since `forget_memory`, of this one process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024

    def cpu(self) -> float:
        """Seconds of CPU that the process has taken so far."""
        told = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2]
        user, system = told.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def forget_memory(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


def read_all(connection: socket.socket) -> bytes:
    received = b""
    with suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            received += chunk
    return received


@contextmanager
def served(
    database_url: str, wecom_url: str, log: Path, **environ: str
) -> Generator[Served]:
    """The database must be migrated."""
    env = {
        **{name: text for name, text in os.environ.items() if name[:5] != "HEFU_"},
        "HEFU_DATABASE_URL": database_url,
        "HEFU_SECRET_KEYS": SECRET_KEY,
        "HEFU_WECOM_URL": wecom_url,
        "HEFU_RATE_LIMIT_ADDRESS": "off",
        "HEFU_RATE_LIMIT_SOURCE": "off",
        **environ,
    }
    run_hefu(env, "migrate")
    key = run_hefu(env, "create-api-key", "--name", "owner", "--role", "OWNER").strip()
    port = _free_port()
    with log.open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603
            [*SERVE, "--port", str(port)],
            stdout=stderr,
            stderr=stderr,
            env=env,
            cwd=ROOT,
        )
    server = Served(process, port, log, key)
    try:
        _wait_until_ready(server)
        yield server
    finally:
        process.kill()
        process.wait()


def run_hefu(env: dict[str, str], *arguments: str) -> str:
    ran = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "hefu", *arguments],
        capture_output=True,
        text=True,
        env=env,
        cwd=ROOT,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def _free_port() -> int:
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        port: int = some.getsockname()[1]
        return port


def _wait_until_ready(server: Served) -> None:
    deadline = time.monotonic() + 120  # A busy machine takes a minute to import it.
    while time.monotonic() < deadline:
        assert server.process.poll() is None, server.log.read_text()
        with suppress(httpx.TransportError):
            if httpx.get(f"{server.url}/health/ready").status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError("The server did not get ready")


class Beside:
    """Asks for the server's health all the while, from a process of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.slowest = 0.0
        self.probes = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "tests.security.probing", self._url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        return self

    def __exit__(self, *_: object) -> None:
        told, _none = self._process.communicate()
        slowest, probes = told.split()
        self.slowest, self.probes = float(slowest), int(probes)


@asynccontextmanager
async def house_of(
    server: Served, wecom: Wecom, database_url: str
) -> AsyncGenerator[House]:
    """The server process, spoken to as tests speak to any house."""
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        yield House(
            client,
            cast("Any", None),  # Its services are in another process.
            wecom,
            Clock(),
            database_url,
            keys={Role.OWNER: server.key},
        )
