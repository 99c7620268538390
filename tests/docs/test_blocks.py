"""Every block of the docs that can run does; every one that can be checked is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.demo import ROOT, Demo, running

DOCS = ROOT / "docs"
FENCE = re.compile(
    r"(?:<!-- (?P<mark>[\w-]+)(?:: (?P<value>\S+))? -->\n)?"
    r"^ *```(?P<kind>\w+)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    page: str
    kind: str
    text: str
    mark: str
    value: str


def blocks() -> list[Block]:
    return [
        Block(
            str(page.relative_to(DOCS)),
            found["kind"],
            found["text"],
            found["mark"] or "",
            found["value"] or "",
        )
        for page in sorted(DOCS.rglob("*.md"))
        for found in FENCE.finditer(page.read_text(encoding="utf-8"))
    ]


BLOCKS = blocks()
RUN_PAGES = sorted({block.page for block in BLOCKS if block.mark == "run"})


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Generator[Demo]:
    with running(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


def environment(demo: Demo) -> dict[str, str]:
    return {
        **os.environ,
        "APP": demo.app_id,
        "HEFU": demo.url,
        "PHONE": demo.phone,
        "KEY": demo.owner_key,
    }


def here(text: str, demo: Demo) -> str:
    """The block, with this demo's addresses for the usual ones."""
    moved = text.replace("http://localhost:8000", demo.url)
    return moved.replace("http://localhost:8001", demo.phone)


@pytest.mark.parametrize("page", RUN_PAGES)
def test_commands_of_a_page_run_in_one_shell(page: str, demo: Demo) -> None:
    wanted = [one for one in BLOCKS if one.page == page and one.mark == "run"]
    script = "\n".join(here(block.text, demo) for block in wanted)
    done = subprocess.run(  # noqa: S603
        ["sh", "-ec", script],  # noqa: S607
        env=environment(demo),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for block in wanted:
        assert block.value in done.stdout, done.stdout


@pytest.mark.parametrize(
    "block",
    [one for one in BLOCKS if one.mark == "run-python"],
    ids=lambda block: block.page,
)
def test_python_runs(block: Block, demo: Demo) -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", block.text],
        env=environment(demo),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert block.value in done.stdout


def test_json_and_xml_can_be_read() -> None:
    for block in BLOCKS:
        if block.kind == "json":
            json.loads(block.text)
        if block.kind == "xml":
            ET.fromstring(f"<x xmlns:android='a'>{block.text}</x>")  # noqa: S314


@pytest.mark.slow
def test_the_kotlin_sample_logs_in(demo: Demo, tmp_path: Path) -> None:
    kotlinc = shutil.which("kotlinc")
    # Android's own implementation of org.json.
    android_json = Path("/usr/share/java/com.android.json.jar")
    if kotlinc is None or not android_json.exists():
        pytest.skip("Not installed: apt-get install kotlin libandroid-json-java")
    [sample] = [
        one
        for one in BLOCKS
        if one.page == "mobile/android.md" and one.mark == "compile"
    ]
    (tmp_path / "Hefu.kt").write_text(sample.text)
    shutil.copy(Path(__file__).parent / "Main.kt", tmp_path)
    compiled = subprocess.run(  # noqa: S603
        [kotlinc, "-cp", android_json, "Hefu.kt", "Main.kt", "-d", "out.jar"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert compiled.returncode == 0, compiled.stderr
    classes = f"out.jar:{android_json}:/usr/share/java/kotlin-stdlib.jar"
    done = subprocess.run(  # noqa: S603
        ["java", "-cp", classes, "MainKt", demo.url, demo.app_id, demo.phone],  # noqa: S607
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "LoginSuccess INVALID_REFRESH_TOKEN",
        "UNAUTHENTICATED REVOKED",
    ]
