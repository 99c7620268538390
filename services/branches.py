"""
What is read of a page's rows: fields, and parts of the lists that each row has.

Fifty sources with three apps each come by one statement, and no page is made for each
of the fifty: the lists are values of their rows (`models/arrays.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tortoise.models import Model

from models import arrays, database

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
    _columns: dict[Order, str] = field(default_factory=dict, compare=False)

    def names(self, model: type[Model], order: Order) -> list[str]:
        """Of the fields: what a list is ordered by is always among them."""
        names = self.fields | {key.name for key in order.keys} | {"id"}
        return [name for name in model._meta.fields_db_projection if name in names]

    def columns(self, model: type[Model], order: Order) -> str:
        """For a SELECT of the rows as `t`."""
        known = self._columns.get(order)
        if known is None:
            self._columns.clear()
            known = self._columns[order] = self._selected(model, order)
        return known

    def _selected(self, model: type[Model], order: Order) -> str:
        own = database.columns(model, "t", self.names(model, order))
        lists = [f'{each.expression()} AS "{each.name}"' for each in self.branches]
        return ", ".join((own, *lists))


@dataclass(frozen=True)
class Branch(Generic[M]):
    """
    A part of each row's list, from one of its ends, as one value of the row.

    :param name: what the row calls it.
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

    def lists(self, read: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
        """Of what was read of each list: its rows, as they are shown."""
        size = self.part.size
        found = [rows if len(rows) <= size else rows[:size] for rows in read]
        return [rows[::-1] for rows in found] if self.part.backwards else found

    def expression(self) -> str:
        """One row more than a page holds, in the part's direction."""
        nested, part = self.nested, self.part
        projection = nested.model._meta.fields_db_projection
        fields = self.wanted.names(nested.model, nested.order)
        return arrays.of(
            [f"t.{projection[name]}" for name in fields],
            # First, as `t` is the row outside until the list's own comes.
            f"FROM (SELECT t.id AS id) AS parent, {nested.rows} "
            f"WHERE {nested.parent} = parent.id "
            f"ORDER BY {nested.order.by(backwards=part.backwards)} "
            f"LIMIT {part.size + 1}",
            arrays=[each.expression() for each in self.wanted.branches],
        )
