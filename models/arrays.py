"""
A subselect's rows as one value: of each row of a page, the list that it has.

PostgreSQL gives them as an array of records, SQLite as JSON, which has no type of its
own there: what is nested is a text again, until it is put into another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from models import database


def of(columns: Sequence[str], rest: str, *, arrays: Sequence[str] = ()) -> str:
    """
    An expression for a SELECT.

    :param rest: of the subselect: FROM, and what follows it, LIMIT being the last.
    :param arrays: more columns, each of which is such an expression.
    """
    if database.dialect() == "sqlite":
        return _json(columns, rest, arrays)
    return f"ARRAY(SELECT ROW({', '.join((*columns, *arrays))}) {rest})"


def read(values: Iterable[Any]) -> list[Sequence[Sequence[Any]]]:
    """The rows of each value that `of` gave."""
    return [
        orjson.loads(value) if isinstance(value, str) else value for value in values
    ]


def _json(columns: Sequence[str], rest: str, arrays: Sequence[str]) -> str:
    # A LIMIT keeps SQLite from dropping the order of a subselect.
    selected = [f"{each} AS c{n}" for n, each in enumerate((*columns, *arrays))]
    plain = [f"c{n}" for n in range(len(columns))]
    nested = [f"json(c{n})" for n in range(len(columns), len(selected))]
    return (
        f"(SELECT json_group_array(json_array({', '.join((*plain, *nested))}))"
        f" FROM (SELECT {', '.join(selected)} {rest}))"
    )
