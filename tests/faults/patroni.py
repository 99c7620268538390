"""
PostgreSQL that fails over by itself: Patroni's, two nodes of it, and etcd, on loopback.

Debian's packages: patroni, etcd-server, postgresql-15. None of their units is used.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from tests.faults.cluster import USER, give_away
from tests.faults.served import free_port

BINARIES = Path("/usr/lib/postgresql/15/bin")

# Seconds. Patroni's own defaults are 30, 10 and 10; the first failover of a test would
# then take half a minute. `loop_wait + 2 * retry_timeout` must not exceed `ttl`.
TTL, LOOP_WAIT, RETRY_TIMEOUT = 10, 1, 3

# What docs/operations.md tells operators to set.
SETTINGS: dict[str, Any] = {
    "ttl": TTL,
    "loop_wait": LOOP_WAIT,
    "retry_timeout": RETRY_TIMEOUT,
    "maximum_lag_on_failover": 1024 * 1024,
    "synchronous_mode": True,
    "postgresql": {
        "use_pg_rewind": True,
        "parameters": {"wal_log_hints": "on", "max_connections": 100},
    },
}


def missing() -> list[str]:
    """Debian's packages that are wanted here and are not installed."""
    found = {
        "patroni": shutil.which("patroni"),
        "etcd-server": shutil.which("etcd"),
        "postgresql-15": BINARIES.is_dir(),
    }
    return [name for name, there in found.items() if not there]


@dataclass
class Node:
    """One machine: Patroni, and the PostgreSQL that it looks after."""

    name: str
    folder: Path
    etcd: int
    port: int = field(default_factory=free_port)
    api: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """As a machine that comes up: Patroni finds out whether it leads."""
        path = self.folder / "patroni.yml"
        path.write_text(json.dumps(self._configuration()))
        self.process = _run(["/usr/bin/patroni", str(path)], self.folder)

    def processes(self) -> list[int]:
        """Patroni, and PostgreSQL whole."""
        patroni = [self.process.pid] if self.process else []
        data = self.folder / "data"
        try:
            master = int((data / "postmaster.pid").read_text().split()[0])
            # Killed, it leaves its number behind, which is somebody else's then.
            if str(data).encode() not in Path(f"/proc/{master}/cmdline").read_bytes():
                return patroni
            path = Path(f"/proc/{master}/task/{master}/children")
            return [*patroni, master, *map(int, path.read_text().split())]
        except (FileNotFoundError, IndexError):
            return patroni

    def signal(self, which: signal.Signals) -> None:
        """To each process at once: Patroni's first, so that it restarts nothing."""
        for process in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process, which)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        if self.process:
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """As a machine that hangs: connections stay open, and nothing is answered."""
        self.signal(signal.SIGSTOP)

    async def has_role(self, role: str) -> bool:
        """`primary`, `synchronous`, …: as Patroni answers a load balancer's probe."""
        with suppress(httpx.HTTPError):
            async with httpx.AsyncClient(timeout=2) as client:
                answer = await client.get(f"http://127.0.0.1:{self.api}/{role}")
                return answer.status_code == 200
        return False

    async def takes_writes(self) -> bool:
        """Whether it does, by writing and waiting for the COMMIT."""
        try:
            async with asyncio.timeout(1):
                connection = await asyncpg.connect(
                    host="127.0.0.1",
                    port=self.port,
                    user="postgres",
                    database="postgres",
                )
                try:
                    await connection.execute(
                        "CREATE TABLE IF NOT EXISTS written (at timestamptz);"
                        "INSERT INTO written VALUES (now())"
                    )
                finally:
                    connection.terminate()
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return True

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def _configuration(self) -> dict[str, Any]:
        here = "127.0.0.1"
        return {
            "scope": "hefu",
            "name": self.name,
            "restapi": {
                "listen": f"{here}:{self.api}",
                "connect_address": f"{here}:{self.api}",
            },
            "etcd3": {"host": f"{here}:{self.etcd}"},
            "bootstrap": {
                "dcs": SETTINGS,
                "initdb": [{"auth": "trust"}, {"encoding": "UTF8"}, "no-sync"],
                "pg_hba": [
                    "local all all trust",
                    f"host all all {here}/32 trust",
                    f"host replication all {here}/32 trust",
                ],
            },
            "postgresql": {
                "listen": f"{here}:{self.port}",
                "connect_address": f"{here}:{self.port}",
                "data_dir": str(self.folder / "data"),
                "bin_dir": str(BINARIES),
                "pgpass": str(self.folder / "pgpass"),
                "authentication": {
                    "superuser": {"username": "postgres"},
                    "replication": {"username": "replicator"},
                },
                "parameters": {"unix_socket_directories": str(self.folder)},
            },
        }


@dataclass
class Pair:
    """Two nodes: one leads, the other follows it synchronously."""

    nodes: list[Node]

    @property
    def url(self) -> str:
        """Both hosts, as an operator names them."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"postgres://postgres@{hosts}/hefu?sslmode=disable"

    async def settled(self) -> tuple[Node, Node]:
        """
        The leader and its standby, once there are both and a failover loses nothing.

        Patroni promotes only whom etcd names as synchronous; PostgreSQL shows that
        earlier.
        """
        async with asyncio.timeout(180):
            while True:
                for leader, other in (self.nodes, self.nodes[::-1]):
                    if await leader.has_role("primary") and await other.has_role(
                        "synchronous"
                    ):
                        return leader, other
                await asyncio.sleep(0.2)


@asynccontextmanager
async def running(folder: Path) -> AsyncGenerator[Pair]:
    """A pair that has settled, with an empty database `hefu`."""
    give_away(folder)
    port, peers = free_port(), free_port()
    etcd = _run(
        [
            "/usr/bin/etcd",
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{port}",
            f"--advertise-client-urls=http://127.0.0.1:{port}",
            f"--listen-peer-urls=http://127.0.0.1:{peers}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peers}",
            f"--initial-cluster=default=http://127.0.0.1:{peers}",
        ],
        folder,
    )
    nodes: list[Node] = []
    try:
        await _healthy(port)
        for name in ("one", "two"):
            (folder / name).mkdir()
            give_away(folder / name)
            nodes.append(Node(name, folder / name, port))
            nodes[-1].start()
        pair = Pair(nodes)
        leader, _ = await pair.settled()
        connection = await asyncpg.connect(
            host="127.0.0.1", port=leader.port, user="postgres", database="postgres"
        )
        await connection.execute("CREATE DATABASE hefu")
        await connection.close()
        yield pair
    finally:
        for node in nodes:
            node.kill()
        etcd.kill()
        etcd.wait()


async def _healthy(port: int) -> None:
    async with asyncio.timeout(30), httpx.AsyncClient() as client:
        while True:
            with suppress(httpx.TransportError):
                answer = await client.get(f"http://127.0.0.1:{port}/health")
                if answer.status_code == 200:
                    return
            await asyncio.sleep(0.1)


def _run(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8"},
            user=USER if os.geteuid() == 0 else None,
            start_new_session=True,
        )
