"""Which codes docs/api.md says that an operation can give."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent.parent / "docs/api.md"
ROW = re.compile(r"^\| `(\w+)` \| ((?:`[A-Z_]+` ?)+) \|$", re.MULTILINE)


@functools.cache
def documented() -> dict[str, dict[str, set[str]]]:
    """By the enum's name, and by the operation."""
    page = PAGE.read_text("utf-8")
    login, _, input = page.partition("<!-- InputErrorCode -->")
    return {"LoginFailureCode": _rows(login), "InputErrorCode": _rows(input)}


def _rows(page: str) -> dict[str, set[str]]:
    return {
        match[1]: set(re.findall(r"[A-Z_]+", match[2])) for match in ROW.finditer(page)
    }


def check(body: Any) -> None:
    """Hold an answer, of whatever shape, against the tables."""
    data = body.get("data") if isinstance(body, dict) else None
    for name, answer in (data or {}).items():
        if not isinstance(answer, dict):
            continue
        refused = {answer["code"]} if isinstance(answer.get("code"), str) else set()
        _compare("LoginFailureCode", name, refused)
        errors = answer.get("errors")
        if isinstance(errors, list):
            given = {each["code"] for each in errors if "code" in each}
            _compare("InputErrorCode", name, given)


def _compare(enum: str, name: str, given: set[str]) -> None:
    # An alias tells no operation.
    told = documented()[enum].get(name)
    assert told is None or given <= told, (
        f"{name} gives {given - told}: say so in docs/api.md, or do not give it."
    )
