"""Ids as they are shown: one by one, and a column at once."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import id_columns, ids


@given(st.lists(st.uuids(), max_size=40))
def test_a_column_of_ids_reads_as_each_of_them(found: list[UUID]) -> None:
    shown = id_columns.show(ids.APP, found)
    assert shown == [ids.show(ids.APP, id) for id in found]
    assert [ids.read(ids.APP, text) for text in shown] == found


@pytest.mark.parametrize("number", [0, 1, 2**128 - 1, 0b11111 << 123, 1 << 127])
def test_the_ends_of_the_range_read_as_any_other(number: int) -> None:
    id = UUID(int=number)
    assert id_columns.show(ids.USER, [id]) == [ids.show(ids.USER, id)]
