from __future__ import annotations

import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.faults.cluster import Cluster
from tests.faults.figures import FIGURES, Figure


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    figures = config.stash.get(FIGURES, [])
    if not figures:
        return
    terminalreporter.section("figures")
    for test, name, value in figures:
        terminalreporter.line(f"{test}: {name}: {value}")


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Note what was measured; `scripts/faults` prints it."""
    figures = request.config.stash.setdefault(FIGURES, [])

    def note(name: str, value: object) -> None:
        figures.append((request.node.name, name, value))

    return note


@pytest.fixture
def open_folder() -> Generator[Path]:
    """
    A folder for servers that do not run as root.

    Not in pytest's own: each session of pytest closes that to everybody else, and those
    that run beside this one would close it under a running database.
    """
    with tempfile.TemporaryDirectory(prefix="hefu-", ignore_cleanup_errors=True) as top:
        Path(top).chmod(0o755)
        yield Path(top)


@pytest.fixture
def cluster(open_folder: Path) -> Generator[Cluster]:
    """A PostgreSQL of the test's own, to be stopped and started."""
    cluster = Cluster(open_folder)
    cluster.make()
    yield cluster
    cluster.stop("immediate")
