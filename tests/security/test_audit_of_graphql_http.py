"""GraphQL over HTTP as the npm package `graphql-http` checks it: 61 of 61."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hefu.test_graphql_over_http_audit import PACKAGES, SCRIPT, needs_node, run
from tests.security.conftest import NOBODY, Row
from tests.security.serving import served


@pytest.mark.slow
@needs_node
def test_the_real_server_passes_all_of_it(
    tmp_path: Path, row: Callable[[str], Row]
) -> None:
    line = row("GraphQL over HTTP: the audit of graphql-http, introspection on")
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "audit.mjs").write_text(SCRIPT)
    run(tmp_path, "npm", "install", "--no-audit", "--no-fund", *PACKAGES)
    url = f"sqlite://{tmp_path / 'hefu.db'}"
    with served(url, NOBODY, tmp_path / "log", HEFU_GRAPHIQL="on") as server:
        said = run(tmp_path, "node", "audit.mjs", f"{server.url}/graphql")
    passed, _, tried = said.splitlines()[-1].partition(" of ")
    line.tried += int(tried)
    if (passed, tried) != ("61", "61"):
        line.through.append(said)
