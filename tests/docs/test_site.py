from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.demo import ROOT
from tests.docs.test_blocks import BLOCKS, FENCE

LOADS = re.compile(
    r"<(?:script|img|iframe|source)[^>]*\ssrc=[\"']?(?:https?:)?//"
    r"|<link[^>]*\srel=[\"']?(?:stylesheet|preconnect|icon|preload)[^>]*\shref=[\"']?"
    r"(?:https?:)?//"
    r"|@import\s+[\"']?(?:url\()?(?:https?:)?//",
)


def test_the_site_is_built_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", tmp_path],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = [*tmp_path.rglob("*.html"), *tmp_path.rglob("*.css")]
    assert len(pages) > 20
    loading = [str(page) for page in pages if LOADS.search(page.read_text("utf-8"))]
    assert loading == []


def test_both_languages_show_the_same_code() -> None:
    for page in sorted((ROOT / "docs").rglob("*.zh.md")):
        chinese = str(page.relative_to(ROOT / "docs"))
        english = chinese.replace(".zh.md", ".md")
        assert code(chinese) == code(english), chinese


def test_both_readmes_show_the_same_code() -> None:
    english, chinese = (
        [block["text"] for block in FENCE.finditer((ROOT / name).read_text("utf-8"))]
        for name in ("README.md", "README.zh.md")
    )
    assert len(english) > 4
    assert chinese == english


def code(page: str) -> list[str]:
    return [block.text for block in BLOCKS if block.page == page]
