"""`hefu demo` in a process of its own, as somebody new starts it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Demo:
    """Where it listens, and what it keeps."""

    url: str
    phone: str
    folder: Path
    printed: str
    process: subprocess.Popen[bytes]

    @property
    def owner_key(self) -> str:
        return (self.folder / "var" / "owner-api-key").read_text().strip()

    @property
    def app_id(self) -> str:
        line = next(one for one in self.printed.splitlines() if " app_" in one)
        return line.split()[-1]


@contextmanager
def running(folder: Path) -> Generator[Demo]:
    port = two_free_ports()
    url = f"http://localhost:{port}"
    output = folder / "output"
    with output.open("w") as file:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "hefu", "demo", "--port", str(port)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=file,
        )
    try:
        phone = f"http://localhost:{port + 1}"
        wait_for(f"{url}/health/ready", process)
        wait_for(phone, process)
        yield Demo(url, phone, folder, output.read_text(), process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def two_free_ports() -> int:
    """The demo listens on a port and on the one after it."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first:
            port: int = first.getsockname()[1]
            try:
                socket.create_server(("127.0.0.1", port + 1)).close()
            except OSError:
                continue
        return port


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "hefu demo ended"
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{url} did not get ready")
