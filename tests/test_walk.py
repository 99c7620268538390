"""docs/admin.md, run from top to bottom: what it shows is what happens."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.house import House

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/admin.md"
OPERATIONS = ROOT / "graphql/operations"

STEP = re.compile(
    r"\[(?P<name>\w+\.graphql)\]\(\.\./graphql/operations/(?P<path>[\w/]+\.graphql)\)"
    r" (?:with\n\n```json title=\"variables\"\n(?P<variables>.*?)\n```\n\n)?"
    r"answers\n\n"
    r"```json\n(?P<answer>.*?)\n```",
    re.DOTALL,
)
# Whatever stands in its place the first time is meant from then on; `_` is anything.
WORD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Step:
    """An operation of the page, and what it answers."""

    path: str
    variables: Any
    answer: Any


def steps() -> list[Step]:
    return list(_steps(PAGE.read_text("utf-8")))


def _steps(page: str) -> Iterator[Step]:
    for match in STEP.finditer(page):
        assert match["path"].endswith(match["name"])
        variables = json.loads(match["variables"] or "{}")
        yield Step(match["path"], variables, json.loads(match["answer"]))


async def test_the_page_tells_what_happens(house: House) -> None:
    known: dict[str, Any] = {}
    token = await house.key()
    for number, step in enumerate(steps()):
        document = (OPERATIONS / step.path).read_text("utf-8")
        given = filled(step.variables, known)
        found = await house.data(document, given, token=token)
        compare(f"step {number}, {step.path}", step.answer, found, known)


def test_no_step_is_passed_over() -> None:
    page = PAGE.read_text("utf-8")
    assert page.count("```json\n") == len(steps())
    given = [step for step in steps() if step.variables]
    assert page.count('```json title="variables"\n') == len(given)
    assert page.count(".graphql](") == len(steps())


@pytest.mark.parametrize(
    "about",
    ["kinds", "create", "test", "associate", "preview", "update", "audit_events"],
)
def test_the_page_walks_through_the_whole_console(about: str) -> None:
    assert any(about in step.path for step in steps())


def filled(value: Any, known: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {name: filled(each, known) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, known) for each in value]
    word = isinstance(value, str) and WORD.fullmatch(value)
    return known[word[1]] if word else value


def compare(where: str, shown: Any, found: Any, known: dict[str, Any]) -> None:
    """Everything that is shown must be there; of objects there may be more."""
    word = isinstance(shown, str) and WORD.fullmatch(shown)
    if word:
        assert found is not None, where
        assert word[1] == "_" or known.setdefault(word[1], found) == found, where
    elif isinstance(shown, dict):
        assert isinstance(found, dict), where
        for name, each in shown.items():
            compare(f"{where}.{name}", each, found[name], known)
    elif isinstance(shown, list):
        assert isinstance(found, list), where
        assert len(found) == len(shown), (where, found)
        for number, (each, other) in enumerate(zip(shown, found, strict=True)):
            compare(f"{where}.{number}", each, other, known)
    else:
        assert found == shown, where
