"""
What is read of a page's rows: fields, and parts of the lists that each row has.

Fifty sources with three apps each come by one statement, and no page is made for each
of the fifty: the lists are read with their rows (`models/arrays.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tortoise.models import Model

from models import arrays, database
from models.arrays import Columns, Selection

if TYPE_CHECKING:
    from services.pages import Order, Part

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Nested(Generic[M]):
    """
    A list that each of many objects has.

    :param rows: FROM, with the list's rows as `t`.
    :param parent: the column that names the object.
    """

    model: type[M]
    rows: str
    parent: str
    order: Order


@dataclass(frozen=True, slots=True)
class Wanted:
    """The fields that somebody will look at, and the lists: no other is read."""

    fields: frozenset[str]
    branches: tuple[Branch[Any], ...] = ()
    # Of the last order: most documents want the same each time.
    _selections: dict[Order, Selection] = field(default_factory=dict, compare=False)

    def names(self, model: type[Model], order: Order) -> list[str]:
        """Of the fields: what a list is ordered by is always among them."""
        names = self.fields | {key.name for key in order.keys} | {"id"}
        return [name for name in model._meta.fields_db_projection if name in names]

    def selection(self, model: type[Model], order: Order) -> Selection:
        """For a SELECT of the rows as `t`."""
        known = self._selections.get(order)
        if known is None:
            self._selections.clear()
            known = self._selections[order] = self._select(model, order)
        return known

    def _select(self, model: type[Model], order: Order) -> Selection:
        own = database.columns(model, "t", self.names(model, order))
        lists = [each.selection() for each in self.branches]
        return Selection(
            ", ".join((own, *(each.columns for each in lists))),
            " ".join(each.join for each in lists if each.join),
        )


@dataclass(frozen=True)
class Branch(Generic[M]):
    """
    A part of each row's list, from one of its ends.

    :param name: what the rows call it.
    """

    name: str
    nested: Nested[M]
    part: Part
    wanted: Wanted

    @cached_property
    def names(self) -> list[str]:
        """What the columns of its own rows are called, as in a page's rows."""
        fields = self.wanted.names(self.nested.model, self.nested.order)
        lists = [each.name for each in self.wanted.branches]
        return [*(f"t.{name}" for name in fields), *lists]

    def read(self, rows: Mapping[str, Sequence[Any]]) -> Columns:
        """Each row's list, with up to one row more than a page shows."""
        return arrays.read(rows, self.name, len(self.names))

    def shown(self, column: list[Sequence[Any]]) -> list[Sequence[Any]]:
        """What a page shows of a column of each list."""
        size = self.part.size
        found = [each if len(each) <= size else each[:size] for each in column]
        return [each[::-1] for each in found] if self.part.backwards else found

    def selection(self) -> Selection:
        """For a SELECT of the rows that have the lists, as `t`."""
        return arrays.beside(self.name, *self._parts())

    def _parts(self) -> tuple[list[str], str, list[str]]:
        """
        What `models.arrays` makes a subselect of: columns, FROM and what follows, and
        the lists below. In the part's direction, one row more than a page holds.
        """
        nested, part = self.nested, self.part
        projection = nested.model._meta.fields_db_projection
        fields = self.wanted.names(nested.model, nested.order)
        # First, as `t` is the row outside until the list's own comes.
        rest = (
            f"FROM (SELECT t.id AS id) AS parent, {nested.rows} "
            f"WHERE {nested.parent} = parent.id "
            f"ORDER BY {nested.order.by(backwards=part.backwards)} "
            f"LIMIT {part.size + 1}"
        )
        below = [arrays.within(*each._parts()) for each in self.wanted.branches]
        return [f"t.{projection[name]}" for name in fields], rest, below
