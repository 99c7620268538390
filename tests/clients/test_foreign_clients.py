"""
Clients that others made, unmodified, against the demo: installed when the test runs.

Each logs a member in, asks who it is, and has the owner list accounts.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.demo import ROOT, Demo, running

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
OPERATIONS = ROOT / "graphql" / "operations"
FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADMIN = {
    "compilerOptions": {
        "strict": True,
        "noEmit": True,
        "target": "es2022",
        "module": "esnext",
        "moduleResolution": "bundler",
        "jsx": "react-jsx",
        "skipLibCheck": True,
    },
    "include": ["src"],
}


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Generator[Demo]:
    with running(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


def run(command: list[str], folder: Path, demo: Demo | None = None) -> str:
    environ = dict(os.environ)
    if demo is not None:
        environ |= {
            "HEFU": demo.url,
            "PHONE": demo.phone,
            "APP": demo.app_id,
            "KEY": demo.owner_key,
            "OPERATIONS": str(OPERATIONS),
        }
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_logged_in(output: str) -> None:
    told: dict[str, Any] = json.loads(output.splitlines()[-1])
    assert told == {
        "login": "LoginSuccess",
        "user": told["me"],
        "me": told["user"],
        "users": told["users"],
        "first": 1,
    }
    assert told["users"] > 1


# ------------------------------------------------------------------ JavaScript


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages of `node/package.json`."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("node") / "clients"
    shutil.copytree(HERE / "node", folder)
    run([npm, "install", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
    return folder


@pytest.mark.parametrize("client", ["apollo", "urql", "graphql_request"])
def test_a_javascript_client(client: str, node: Path, demo: Demo) -> None:
    check_logged_in(run(["node", f"{client}.mjs"], node, demo))


def test_relay(node: Path, demo: Demo) -> None:
    shutil.copy(ROOT / "graphql" / "schema.graphql", node / "schema.graphql")
    (node / "src" / "__generated__").mkdir()
    run(["npx", "--no-install", "relay-compiler"], node)
    told = json.loads(run(["node", "relay.mjs"], node, demo))
    assert told == {"login": "LoginSuccess", "first": 1, "node": True}


def test_graphql_codegen(node: Path, demo: Demo) -> None:
    """TypeScript that compiles strictly, and Kotlin's types; Swift has no plugin."""
    generate = ["npx", "--no-install", "graphql-codegen", "--config", "codegen.mjs"]
    run(generate, node, demo)
    run(["npx", "--no-install", "tsc"], node)
    kotlin = (node / "generated" / "Hefu.kt").read_text()
    assert "enum class LoginFailureCode" in kotlin
    assert "data class WecomMobileLoginInput" in kotlin


def test_the_admin_guide_type_checks(node: Path) -> None:
    """The files of docs/admin-frontend.md, as somebody copies them."""
    guide = (ROOT / "docs" / "admin-frontend.md").read_text(encoding="utf-8")
    folder = node / "admin"
    (folder / "src").mkdir(parents=True)
    for name, text in FILE.findall(guide):
        (folder / name).write_text(text)
    shutil.copy(ROOT / "graphql" / "schema.graphql", folder)
    (folder / "tsconfig.json").write_text(json.dumps(ADMIN))
    generate = ["npx", "--no-install", "graphql-codegen", "--config", "codegen.ts"]
    run(generate, folder)
    run(["npx", "--no-install", "tsc"], folder)


# ---------------------------------------------------------------------- Python


def installed(package: str, folder: Path) -> Path:
    """A folder with an environment of its own, and the package in it."""
    shutil.copytree(HERE / "python", folder)
    run([sys.executable, "-m", "venv", "venv"], folder)
    run(["venv/bin/pip", "install", "-q", package], folder)
    return folder


def test_gql(tmp_path: Path, demo: Demo) -> None:
    folder = installed("gql[httpx]==4.4.0", tmp_path / "gql")
    check_logged_in(run(["venv/bin/python", "through_gql.py"], folder, demo))


def test_ariadne_codegen(tmp_path: Path, demo: Demo) -> None:
    folder = installed("ariadne-codegen==0.19.0", tmp_path / "ariadne")
    (folder / "pyproject.toml").write_text(
        "[tool.ariadne-codegen]\n"
        f'remote_schema_url = "{demo.url}/graphql"\n'
        f'queries_path = "{OPERATIONS}"\n'
        'target_package_name = "hefu_client"\n'
    )
    run(["venv/bin/ariadne-codegen"], folder)
    check_logged_in(run(["venv/bin/python", "through_ariadne.py"], folder, demo))
