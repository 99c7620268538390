"""A real server process of a test's own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from hefu.server import serve

ROOT = Path(__file__).parent.parent.parent
# Where the server's limits are ten seconds, these tests wait for one.
SECONDS = 1.0


@dataclass
class Running:
    """A server process of this test's own."""

    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=15)

    def exchange(self, sent: bytes) -> bytes:
        """Everything that comes back until the server hangs up."""
        with self.connect() as connection:
            connection.sendall(sent)
            return read_all(connection)

    def stop(self) -> str:
        """Sends SIGTERM; what was logged, once the process has ended."""
        self.process.send_signal(signal.SIGTERM)
        _, logged = self.process.communicate(timeout=20)
        return logged


def read_all(connection: socket.socket) -> bytes:
    received = b""
    # A server that hangs up on unread bytes sends a reset.
    with suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            received += chunk
    return received


def start(factory: str, workers: int) -> Running:
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "tests.hefu.running", factory, str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    running = Running(process, int(process.stdout.readline()))
    _wait_until_ready(running)
    return running


def _wait_until_ready(running: Running) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if httpx.get(f"{running.url}/health/ready").status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError("The server did not get ready")


def main(factory: str, workers: str) -> None:
    serve(
        f"tests.hefu.sample_app:{factory}",
        host="127.0.0.1",
        port=0,
        workers=int(workers),
        log_level="debug",
        request_seconds=SECONDS,
        on_started=lambda _, port: print(port, flush=True),  # noqa: T201
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
