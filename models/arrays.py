"""
Lists that a page's rows have, read by the statement that reads the page.

They come by columns, as they are shown: of fifty sources with three apps each, fifty
arrays of ids and fifty of names. PostgreSQL joins each list, and is not asked for an
array of records, which took it 585 µs a page where this takes 360, and asyncpg 330
where this takes 220. SQLite, which joins no such thing, gives one text of JSON.

A list within such a list is an array of records in PostgreSQL all the same, as arrays
of different lengths make no array.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from models import database


@dataclass(frozen=True, slots=True)
class Joined:
    """What a SELECT names, and what it joins for it."""

    columns: str
    join: str = ""


def joined(
    name: str, columns: Sequence[str], rest: str, arrays: Sequence[str]
) -> Joined:
    """
    The list `name`, of each row.

    :param rest: of the subselect: FROM, and what follows it, LIMIT being the last.
    :param arrays: more columns, each of which `of` gave.
    """
    if database.dialect() == "sqlite":
        return Joined(f'{of(columns, rest, arrays)} AS "{name}"')
    every = [*columns, *arrays]
    selected = ", ".join(f"{each} AS c{n}" for n, each in enumerate(every))
    gathered = ", ".join(f"array_agg(c{n}) AS c{n}" for n in range(len(every)))
    return Joined(
        ", ".join(f'"{name}".c{n} AS "{name}.{n}"' for n in range(len(every))),
        f"CROSS JOIN LATERAL (SELECT {gathered}"
        f' FROM (SELECT {selected} {rest}) AS listed) AS "{name}"',
    )


def of(columns: Sequence[str], rest: str, arrays: Sequence[str]) -> str:
    """An expression for a list within a list; see `joined`."""
    if database.dialect() == "sqlite":
        return _json(columns, rest, arrays)
    # A record around it: see above.
    return f"ROW(ARRAY(SELECT ROW({', '.join((*columns, *arrays))}) {rest}))"


def read(
    rows: Mapping[str, Sequence[Any]], name: str, count: int
) -> list[list[Sequence[Any]]]:
    """
    Of each of its `count` columns: what each row's list has there.

    :param rows: by columns.
    """
    if name not in rows:
        columns = [rows[f"{name}.{n}"] for n in range(count)]
        # Of nothing PostgreSQL makes no array.
        return [[each or () for each in column] for column in columns]
    every = [_by_columns(value, count) for value in rows[name]]
    return [list(each) for each in zip(*every, strict=True)]


def _by_columns(value: Any, count: int) -> Iterable[Sequence[Any]]:
    if isinstance(value, str):
        value = orjson.loads(value)
    if isinstance(value, list):
        return value
    [listed] = value
    return list(zip(*listed, strict=True)) or [()] * count


def _json(columns: Sequence[str], rest: str, arrays: Sequence[str]) -> str:
    # A LIMIT keeps SQLite from dropping the order of a subselect.
    selected = [f"{each} AS c{n}" for n, each in enumerate((*columns, *arrays))]
    plain = [f"c{n}" for n in range(len(columns))]
    nested = [f"json(c{n})" for n in range(len(columns), len(selected))]
    gathered = ", ".join(f"json_group_array({each})" for each in (*plain, *nested))
    return f"(SELECT json_array({gathered}) FROM (SELECT {', '.join(selected)} {rest}))"
