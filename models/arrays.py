"""
Lists that a page's rows have, read by the statement that reads the page.

They come by columns, since that is how `hefu/rows.py` shows them: of fifty sources with
three apps each, fifty arrays of ids and fifty of names. For such a page PostgreSQL took
450 to 590 µs with an array of records for each source, and takes 360 with a join for
each list; asyncpg took 250 to 350 µs to read it, and takes 220 (docs/performance.md).
SQLite has no LATERAL, and gives a text of JSON for each source.

In PostgreSQL a list within such a list is an array of records all the same: arrays of
different lengths cannot be gathered to an array.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from models import database

Columns = list[list[Sequence[Any]]]
"""Of many lists: for each column, what each list has there."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a SELECT names, and what has to be joined for it."""

    columns: str
    join: str = ""


def beside(
    name: str, columns: Sequence[str], rest: str, arrays: Sequence[str]
) -> Selection:
    """
    Has a SELECT read the list `name` of each of its rows.

    :param columns: of the list's own rows.
    :param rest: of the list's subselect: FROM, and what follows it, LIMIT being the
        last. With one, and under nothing but what gathers it, it keeps its order.
    :param arrays: more columns, each of them what `within` gave.
    """
    if database.dialect() == "sqlite":
        return Selection(f'{_json(columns, rest, arrays)} AS "{name}"')
    every = [*columns, *arrays]
    selected = ", ".join(f"{each} AS c{n}" for n, each in enumerate(every))
    gathered = ", ".join(f"array_agg(c{n}) AS c{n}" for n in range(len(every)))
    return Selection(
        ", ".join(f'"{name}".c{n} AS "{name}.{n}"' for n in range(len(every))),
        f"CROSS JOIN LATERAL (SELECT {gathered}"
        f' FROM (SELECT {selected} {rest}) AS listed) AS "{name}"',
    )


def within(columns: Sequence[str], rest: str, arrays: Sequence[str]) -> str:
    """An expression for a list within a list; of what, `beside` says."""
    if database.dialect() == "sqlite":
        return _json(columns, rest, arrays)
    # A record of one: PostgreSQL gathers records, whatever length of array they hold.
    return f"ROW(ARRAY(SELECT ROW({', '.join((*columns, *arrays))}) {rest}))"


def read(rows: Mapping[str, Sequence[Any]], name: str, count: int) -> Columns:
    """
    The lists `name` of all rows, which have `count` columns.

    :param rows: what the statement gave, by columns.
    """
    if name not in rows:
        columns = [rows[f"{name}.{n}"] for n in range(count)]
        # PostgreSQL gathers nothing to NULL.
        return [[each or () for each in column] for column in columns]
    every = [_by_columns(value, count) for value in rows[name]]
    return [list(each) for each in zip(*every, strict=True)]


def _by_columns(value: Any, count: int) -> Iterable[Sequence[Any]]:
    """Of SQLite a text, or a list that was in one; of PostgreSQL a record of one."""
    if isinstance(value, str):
        value = orjson.loads(value)
    if isinstance(value, list):
        return value
    [listed] = value
    return list(zip(*listed, strict=True)) or [()] * count


def _json(columns: Sequence[str], rest: str, arrays: Sequence[str]) -> str:
    selected = [f"{each} AS c{n}" for n, each in enumerate((*columns, *arrays))]
    plain = [f"c{n}" for n in range(len(columns))]
    nested = [f"json(c{n})" for n in range(len(columns), len(selected))]
    gathered = ", ".join(f"json_group_array({each})" for each in (*plain, *nested))
    return f"(SELECT json_array({gathered}) FROM (SELECT {', '.join(selected)} {rest}))"
