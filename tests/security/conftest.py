"""What every battery here does: count what it tried, and publish it as a table."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.security.serving import Served, served

# Under a neighbour's load a wall clock tells nothing of the server: what is asserted is
# its CPU time. `scripts/security` asserts both.
MEASURED = os.environ.get("MEASURED") == "1"
NOBODY = "http://127.0.0.1:1"


@dataclass
class Row:
    """A line of the table in `docs/security.md`."""

    title: str
    tried: int = 0
    through: list[Any] = field(default_factory=list[Any])
    worst: dict[str, tuple[float, str]] = field(
        default_factory=dict[str, tuple[float, str]]
    )

    def measure(self, what: str, value: float, unit: str) -> None:
        """Keep the largest."""
        known = self.worst.get(what, (value, unit))
        self.worst[what] = (max(known[0], value), unit)

    @property
    def measured(self) -> str:
        return ", ".join(
            f"{what} {value:.0f} {unit}" for what, (value, unit) in self.worst.items()
        )


ROWS: dict[str, Row] = {}


@pytest.fixture
def row() -> Generator[Callable[[str], Row]]:
    """The line of that title; a test fails where anything in it got through."""
    used: list[Row] = []

    def named(title: str) -> Row:
        used.append(ROWS.setdefault(title, Row(title)))
        return used[-1]

    yield named
    for each in used:
        assert not each.through, each.through[:10]


@pytest.fixture(scope="module")
def server(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Served]:
    """`hefu serve`, with WeCom out of reach."""
    folder = tmp_path_factory.mktemp("served")
    url = f"sqlite://{folder / 'hefu.db'}"
    origin = {"HEFU_ALLOWED_ORIGINS": "https://admin.example"}
    with served(url, NOBODY, folder / "log", **origin) as each:
        yield each


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not ROWS:
        return
    terminalreporter.section("what was tried")
    terminalreporter.write_line("| tried | times | got through | at the most |")
    terminalreporter.write_line("| --- | --- | --- | --- |")
    for each in ROWS.values():
        through = len(each.through) or "nothing"
        line = f"| {each.title} | {each.tried:,} | {through} | {each.measured} |"
        terminalreporter.write_line(line)
