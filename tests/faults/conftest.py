from __future__ import annotations

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
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    """A PostgreSQL of the test's own, to be stopped and started."""
    folder: Path = tmp_path_factory.mktemp("cluster")
    cluster = Cluster(folder)
    cluster.make()
    yield cluster
    cluster.stop("immediate")
