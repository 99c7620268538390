from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hefu.running import Running

PACKAGES = ("graphql-http@1.23.1", "graphql@16.15.0")
SCRIPT = """
import { auditServer } from 'graphql-http'
const results = await auditServer({ url: process.argv[2] })
const failed = results.filter(({ status }) => status !== 'ok')
for (const { id, name, reason } of failed) console.log(id, name, reason)
console.log(`${results.length - failed.length} of ${results.length}`)
"""

needs_node = pytest.mark.skipif(
    shutil.which("npm") is None, reason="the audit suite is a package of npm"
)


@pytest.mark.slow
@needs_node
def test_the_audit_of_graphql_http_finds_nothing(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    server = start("create_open_app")
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "audit.mjs").write_text(SCRIPT)
    run(tmp_path, "npm", "install", "--no-audit", "--no-fund", *PACKAGES)
    assert run(tmp_path, "node", "audit.mjs", f"{server.url}/graphql") == "61 of 61"


def run(folder: Path, *command: str) -> str:
    ran = subprocess.run(  # noqa: S603
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()
