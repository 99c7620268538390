from __future__ import annotations

import pytest

from services import phones


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+8613800000000", "+8613800000000"),
        ("13800000000", "+8613800000000"),
        ("8613800000000", "+8613800000000"),
        ("0086 138-0000-0000", "+8613800000000"),
        ("＋８６ １３８００００００００", "+8613800000000"),
        ("010-12345678", "+861012345678"),
        ("+1 (415) 555-2671", "+14155552671"),
        ("", None),
        ("+", None),
        ("12345", None),
        ("not a number", None),
        ("call 13800000000", None),
        ("1-800-FLOWERS", None),
        ("13800000000\0", None),
        ("\ud83d", None),
        ("1" * 60_000, None),
        (None, None),
    ],
)
def test_a_number_in_any_spelling_or_none(text: str | None, number: str | None) -> None:
    assert phones.normalise(text) == number


def test_no_number_is_longer_than_its_column() -> None:
    lengths = {len(phones.normalise("+49" + "1" * n) or "") for n in range(20)}

    assert max(lengths) == 16
