"""`hefu demo` in a process of its own, and a real browser that reaches nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page, async_playwright

ROOT = Path(__file__).parent.parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Every other host is unknown, whatever a page asks for and by whatever way.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
]


@dataclass(frozen=True)
class Demo:
    """What `hefu demo` printed, and where it listens."""

    url: str
    phone: str
    folder: Path

    @property
    def owner_key(self) -> str:
        return (self.folder / "var" / "owner-api-key").read_text().strip()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Generator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    port = two_free_ports()
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "hefu", "demo", "--port", str(port)],
        cwd=folder,
        env=environ,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until_ready(f"http://localhost:{port}", process)
        yield Demo(f"http://localhost:{port}", f"http://localhost:{port + 1}", folder)
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


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "hefu demo ended"
        try:
            if httpx.get(f"{url}/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("hefu demo did not get ready")


@pytest.fixture
async def page(demo: Demo) -> AsyncGenerator[Page]:
    """A page of a fresh browser; whatever it complains of fails the test."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await browser.new_context(
            viewport={"width": 1500, "height": 900}, locale="en-GB"
        )
        page = await context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                complaints.append(message.text) if message.type == "error" else None
            ),
        )
        page.on("requestfailed", lambda request: complaints.append(request.url))
        yield page
        await browser.close()
    assert complaints == []


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Where screenshots go: `SCREENSHOTS=folder` keeps them."""
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
