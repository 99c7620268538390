"""`hefu demo` in a process of its own, and a real browser that reaches nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright

from tests.demo import Demo, running

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


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Generator[Demo]:
    with running(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


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
