"""scripts/breaking_changes.py tells what an older client would stumble over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "scripts/breaking_changes.py"
SNAPSHOT = (ROOT / "graphql/schema.graphql").read_text("utf-8")

# What an earlier release had promised, and what is said where it is so no longer.
PROMISES = [
    ("username: String\n", "username: String\n  nickname: String\n", "User.nickname"),
    ("enum Role {", "enum Role {\n  AUDITOR\n", "AUDITOR"),
    ("emailVerified: Boolean = false", "emailVerified: Boolean = true", "the default"),
    ("active: Boolean = true", "active: Boolean = false", "the default"),
    ("  accessTokenLifetime: Int\n", "  accessTokenLifetime: Int = 900\n", "default"),
]


def compare(with_: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        [sys.executable, SCRIPT, with_],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


@pytest.mark.parametrize("sdl", ["tests/contract.graphql", "graphql/schema.graphql"])
def test_nothing_that_was_promised_is_broken(sdl: str) -> None:
    done = compare(sdl)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"0 breaking changes since {sdl}"


@pytest.mark.parametrize(("now", "before", "told"), PROMISES)
def test_a_lost_promise_is_told(
    tmp_path: Path, now: str, before: str, told: str
) -> None:
    assert now in SNAPSHOT
    release = tmp_path / "release.graphql"
    release.write_text(SNAPSHOT.replace(now, before), "utf-8")
    done = compare(str(release))
    assert done.returncode == 1, done.stdout + done.stderr
    assert any(
        line.startswith("breaking: ") and told in line
        for line in done.stdout.splitlines()
    )


def test_without_anything_to_compare_with_it_says_so() -> None:
    done = compare("no-such-ref")
    assert done.returncode == 2
    assert done.stderr == "There is no graphql/schema.graphql in no-such-ref.\n"
