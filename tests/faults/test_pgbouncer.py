"""PgBouncer that pools transactions, and PostgreSQL through TLS."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

import asyncpg
import pytest

from models import database
from tests.conftest import migrated
from tests.faults.cluster import USER, Cluster
from tests.faults.faulty import attempts, holds
from tests.faults.served import free_port
from tests.house import Clock, Wecom, open_house, settings

DEBIAN = Path("/usr/lib/postgresql/15/bin")

SETTINGS = """
[databases]
hefu = host={folder} port=5432 dbname=hefu user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 200
"""


@pytest.fixture
def pgbouncer(cluster: Cluster) -> Generator[str]:
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("Debian's package pgbouncer is not installed")
    port = free_port()
    path = cluster.folder / "pgbouncer.ini"
    path.write_text(SETTINGS.format(folder=cluster.folder, port=port))
    process = subprocess.Popen(  # noqa: S603
        [program, "-q", str(path)], user=USER if os.geteuid() == 0 else None
    )
    time.sleep(1)
    yield f"postgres://postgres@127.0.0.1:{port}/hefu?pgbouncer=1&sslmode=disable"
    process.terminate()
    process.wait()


async def test_logins_through_fewer_connections_than_there_are_clients(
    cluster: Cluster, pgbouncer: str, wecom: Wecom, clock: Clock
) -> None:
    await migrated(pgbouncer)
    async with open_house(settings(pgbouncer, wecom.url), wecom, clock) as house:
        entrance = await house.entrance()
        await entrance.log_in()
        for _ in range(4):
            answers = await attempts(entrance, 25)
            assert [status for status, _ in answers] == [200] * 25
        await holds()


@pytest.fixture
def cluster_with_tls(open_folder: Path) -> Generator[Cluster]:
    """Debian's: that of the Python package was built without TLS."""
    if not DEBIAN.is_dir():
        pytest.skip("Debian's package postgresql-15 is not installed")
    cluster = Cluster(open_folder, binaries=DEBIAN)
    cluster.make()
    yield cluster
    cluster.stop("immediate")


@pytest.fixture
def certificate(cluster_with_tls: Cluster) -> Path:
    """PostgreSQL speaks TLS on loopback, and nothing else there."""
    cluster = cluster_with_tls
    key, certificate = cluster.data / "server.key", cluster.data / "server.crt"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
        f" -addext subjectAltName=DNS:localhost -keyout {key} -out {certificate}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)  # noqa: S603
    key.chmod(0o600)
    if os.geteuid() == 0:
        shutil.chown(key, USER)
    cluster.port = free_port()
    with (cluster.data / "postgresql.conf").open("a") as file:
        file.write(f"ssl = on\nport = {cluster.port}\nlisten_addresses = 'localhost'\n")
    (cluster.data / "pg_hba.conf").write_text(
        "local all all trust\nhostssl all all all trust\n"
    )
    cluster.stop()
    cluster.start()
    return certificate


@pytest.mark.parametrize(
    "options", ["", "?sslmode=require", "?sslmode=verify-full&sslrootcert={}"]
)
async def test_tls(cluster_with_tls: Cluster, certificate: Path, options: str) -> None:
    url = f"postgres://postgres@localhost:{cluster_with_tls.port}/hefu"
    async with database.opened(url + options.format(certificate)):
        row = await database.fetch_one(
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        )
    assert row == {"ssl": True}


async def test_no_tls_is_refused_where_the_server_wants_it(
    cluster_with_tls: Cluster, certificate: Path
) -> None:
    url = f"postgres://postgres@localhost:{cluster_with_tls.port}/hefu?sslmode=disable"
    async with database.opened(url):
        with pytest.raises(database.DatabaseUnavailable) as raised:
            await database.fetch("SELECT 1")
    assert isinstance(
        raised.value.__cause__, asyncpg.InvalidAuthorizationSpecificationError
    )


async def test_a_certificate_of_somebody_else_is_refused(
    cluster_with_tls: Cluster, certificate: Path
) -> None:
    other = certificate.with_name("other.crt")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
        f" -keyout {other}.key -out {other}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)  # noqa: ASYNC221, S603
    url = f"postgres://postgres@localhost:{cluster_with_tls.port}/hefu"
    async with database.opened(f"{url}?sslmode=verify-full&sslrootcert={other}"):
        with pytest.raises(database.DatabaseUnavailable) as raised:
            await database.fetch("SELECT 1")
    assert isinstance(raised.value.__cause__, ssl.SSLError)
