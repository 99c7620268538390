"""What `docs/sessions.md` tells back ends to do, done: to good tokens and to others."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.test_blocks import BLOCKS
from tests.house import Entrance, House
from tests.serving import serving

pytestmark = pytest.mark.slow

ISSUER = "https://id.example.com"
AUDIENCE = "app_01kb3v5x9gf2tvrzc1q0k7m4dh"
SAMPLES = {
    block.value: block.text
    for block in BLOCKS
    if block.page == "sessions.md" and block.mark == "verify"
}


@dataclass
class Issuer:
    """A real server, which says of itself where it is."""

    url: str
    entrance: Entrance
    other_app: Entrance

    def sample(self, name: str, folder: Path) -> Path:
        """A sample with this server's address and app in place of the example's."""
        text = SAMPLES[name].replace(ISSUER, self.url)
        path = folder / name
        path.write_text(text.replace(AUDIENCE, self.entrance.app_id))
        return path


@pytest.fixture
async def issuer(house: House) -> AsyncGenerator[Issuer]:
    entrance, other = await house.entrance(), await house.entrance()
    async with serving(house, 1, HEFU_PUBLIC_URL="{url}") as [(server, process)]:
        here, there = (
            Entrance(process, each.app_id, each.source_id, each.identifier)
            for each in (entrance, other)
        )
        yield Issuer(server.url, here, there)


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("node")
    command = [npm, "install", "--silent", "--no-audit", "--no-fund", "jose@6"]
    subprocess.run(command, cwd=folder, check=True)  # noqa: S603
    return folder


async def said(command: Sequence[str | Path], folder: Path) -> tuple[int, str]:
    """Its exit status, and what it said on standard output."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode().strip()


async def holds(issuer: Issuer, command: Sequence[str | Path], folder: Path) -> None:
    good = await issuer.entrance.log_in()
    token: str = good["tokens"]["accessToken"]
    header, claims, signature = token.split(".")
    of_another_app = (await issuer.other_app.log_in())["tokens"]["accessToken"]

    status, out = await said([*command, token], folder)

    assert (status, out) == (0, f"{good['user']['id']} {good['session']['id']}")
    for bad in (of_another_app, f"{header}.{claims}.{signature[::-1]}", "nonsense"):
        status, out = await said([*command, bad], folder)
        assert (status != 0, out) == (True, "")


async def test_python(issuer: Issuer, tmp_path: Path) -> None:
    sample = issuer.sample("verify.py", tmp_path)

    await holds(issuer, [sys.executable, sample], tmp_path)


async def test_node(issuer: Issuer, node_modules: Path) -> None:
    sample = issuer.sample("verify.mjs", node_modules)

    await holds(issuer, ["node", sample], node_modules)
