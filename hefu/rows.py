"""
Pages of rows, shown column by column: the part of a plan that lists consist of.

Where everything that a list's rows are asked for is a column of theirs, or a list of
the same kind below them (`schema/rows.py` says which), no object is made of a row.
Only these columns are read; each is turned into what is shown for all rows at once, and
`zip` makes the dicts. A level's lists are one statement, as ever. `docs/performance.md`
has the figures.

Roles are checked where they always are: a page comes from its list's own resolver, and
what lies below it is for administrators alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any
from uuid import UUID

from graphql import (
    GraphQLObjectType,
    GraphQLOutputType,
    get_argument_values,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
    is_non_null_type,
    is_object_type,
)
from graphql.execution.collect_fields import FieldDetailsList

from hefu.plans import BACKREF, Run, Selected, Step, Unplanned
from models import database, id_columns
from schema import rows
from schema.node import Viewer
from schema.pages import Connection, asked
from schema.rows import Made, Shown
from services.pages import Page, Part

Object = dict[str, Any]
Values = Iterable[Any]


class Columns:
    """The rows of a page, or of all the pages of a level, by columns."""

    def __init__(self, shown: Shown, pages: Sequence[Page[Any]]) -> None:
        self._rows: list[Any] = [row for page in pages for row in page.rows]
        self._conversions = database.conversions(shown.model)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, name: str) -> list[Any]:
        column, convert = f"t.{name}", self._conversions[name]
        if convert is None:
            return [row[column] for row in self._rows]
        return [convert(row[column]) for row in self._rows]


Show = Callable[[Columns, Run], Values]


class Nodes:
    """What is selected of each row."""

    def __init__(
        self, selected: Selected, type_: GraphQLObjectType, details: FieldDetailsList
    ) -> None:
        self._shown = _shown(type_)
        self._below: list[Below] = []
        self.wanted: set[str] = set()
        self._shows: dict[str, Show] = {
            key: self._show(selected, type_, key, found)
            for key, found in selected.fields(type_, details).items()
        }

    def show(
        self, pages: Sequence[Page[Any]], viewer: Viewer, run: Run
    ) -> list[Object]:
        """Of all the pages' rows, one after the other."""
        columns = Columns(self._shown, pages)
        if not len(columns):
            return []
        shown = [show(columns, run) for show in self._shows.values()]
        keys = tuple(self._shows)
        nodes = [dict(zip(keys, row, strict=True)) for row in zip(*shown, strict=True)]
        for below in self._below:
            run.below.append(below.wish(columns["id"], nodes, viewer, run))
        return nodes

    def _show(
        self,
        selected: Selected,
        type_: GraphQLObjectType,
        key: str,
        details: FieldDetailsList,
    ) -> Show:
        if details[0].node.name.value == "__typename":
            return lambda columns, run: repeat(type_.name, len(columns))
        below = self._shown.lists.get(selected.python_name(type_, details))
        if below is not None:
            self._below.append(Below(selected, type_, key, details, below))
            return lambda columns, run: repeat(None, len(columns))
        step = selected.step(type_, key, details)
        if not step.is_plain:
            raise Unplanned
        if step.name == "id":
            prefix = self._shown.prefix
            return lambda columns, run: id_columns.show(prefix, columns["id"])
        if step.name in self._shown.made:
            return self._made(step, self._shown.made[step.name])
        return self._column(step)

    def _made(self, step: Step, made: Made) -> Show:
        self.wanted.update(made.columns)

        def show(columns: Columns, run: Run) -> Values:
            given = [columns[name] for name in made.columns]
            return [
                step.complete(made.make(*each), run)
                for each in zip(*given, strict=True)
            ]

        return show

    def _column(self, step: Step) -> Show:
        name = step.name
        if name not in self._shown.model._meta.fields_db_projection:
            raise Unplanned
        self.wanted.add(name)
        show_one = _leaf(step.field.type)
        is_required = is_non_null_type(step.field.type)

        def show(columns: Columns, run: Run) -> Values:
            values = columns[name]
            if is_required and None in values:
                raise Unplanned
            return [show_one(value) for value in values] if show_one else values

        return show


class Edges:
    """What is selected of each edge."""

    def __init__(
        self, selected: Selected, type_: GraphQLObjectType, details: FieldDetailsList
    ) -> None:
        self._type = type_.name
        self._parts: dict[str, Nodes | str] = {}
        for key, found in selected.fields(type_, details).items():
            name = found[0].node.name.value
            self._parts[key] = name
            if name == "node":
                inner = _row_type(selected, type_.fields[name].type)
                self._parts[key] = Nodes(selected, inner, found)
        nodes = [part for part in self._parts.values() if isinstance(part, Nodes)]
        self.wanted = {name for each in nodes for name in each.wanted}

    def show(
        self, pages: Sequence[Page[Any]], viewer: Viewer, run: Run
    ) -> list[Object]:
        count = sum(len(page.rows) for page in pages)
        shown: list[Values] = []
        for part in self._parts.values():
            if isinstance(part, Nodes):
                shown.append(part.show(pages, viewer, run))
            elif part == "cursor":
                shown.append([each for page in pages for each in page.cursors()])
            else:
                shown.append(repeat(self._type, count))
        keys = tuple(self._parts)
        return [dict(zip(keys, row, strict=True)) for row in zip(*shown, strict=True)]


class Pages:
    """What is selected of a connection."""

    def __init__(
        self, selected: Selected, type_: GraphQLObjectType, details: FieldDetailsList
    ) -> None:
        self._type = type_
        self._empty: Object = {}
        self._lists: dict[str, Nodes | Edges] = {}
        self._steps: list[Step] = []
        for key, found in selected.fields(type_, details).items():
            self._empty[key] = self._part(selected, key, found)
        wanted = {name for each in self._lists.values() for name in each.wanted}
        self.wanted = frozenset(wanted)

    def complete(self, value: Any, run: Run) -> Object:
        """A page that is not null; see `Plan`."""
        if not isinstance(value, Connection):
            raise Unplanned
        [shown] = self.show([value], run)
        return shown

    def show(self, connections: Sequence[Connection[Any]], run: Run) -> list[Object]:
        """Of pages of one level, which all have the same viewer."""
        viewer = connections[0].viewer
        if not viewer.is_admin:
            raise Unplanned
        objects = [self._empty.copy() for _ in connections]
        for step in self._steps:
            for connection, into in zip(connections, objects, strict=True):
                step.take(connection, run, into)
        pages = [connection.page for connection in connections]
        for key, each in self._lists.items():
            found, begin = each.show(pages, viewer, run), 0
            for page, into in zip(pages, objects, strict=True):
                end = begin + len(page.rows)
                into[key] = found[begin:end]
                begin = end
        return objects

    def _part(
        self, selected: Selected, key: str, details: FieldDetailsList
    ) -> str | None:
        """What stands there already."""
        name = details[0].node.name.value
        if name == "__typename":
            return self._type.name
        inner = self._type.fields[name].type
        if name == "nodes":
            self._lists[key] = Nodes(selected, _row_type(selected, inner), details)
        elif name == "edges":
            edge = get_named_type(inner)
            if not is_object_type(edge):
                raise Unplanned
            self._lists[key] = Edges(selected, edge, details)
        else:
            self._steps.append(selected.step(self._type, key, details))
        return None


@dataclass(frozen=True, slots=True)
class Wish:
    """Everybody's page of a list, and where to put what it shows."""

    below: Below
    part: Part
    parents: Sequence[UUID]
    into: Sequence[Object]
    viewer: Viewer


class Below:
    """A list that each row of a page has."""

    def __init__(
        self,
        selected: Selected,
        parent: GraphQLObjectType,
        key: str,
        details: FieldDetailsList,
        listed: rows.Below,
    ) -> None:
        self.key = key
        self.listed = listed
        self._node = details[0].node
        self._field = parent.fields[self._node.name.value]
        type_ = get_named_type(self._field.type)
        if not is_object_type(type_):
            raise Unplanned
        self.pages = Pages(selected, type_, details)

    def wish(
        self, parents: Sequence[UUID], into: Sequence[Object], viewer: Viewer, run: Run
    ) -> Wish:
        given = get_argument_values(self._field, self._node, run.variables)
        ends = (given.get(name) for name in ("first", "after", "last", "before"))
        order = self.listed.loader(run.context.loaders).nested.order
        return Wish(self, asked(*ends).of(order), parents, into, viewer)


async def grant(wishes: Sequence[Wish], run: Run) -> None:
    """A level's lists: one statement for all that ask for the same part."""
    alike: defaultdict[tuple[rows.Below, Part], list[Wish]] = defaultdict(list)
    for wish in wishes:
        alike[wish.below.listed, wish.part].append(wish)
    for (listed, part), group in alike.items():
        parents = [parent for wish in group for parent in wish.parents]
        wanted = frozenset().union(*(wish.below.pages.wanted for wish in group))
        found = await listed.pages(run.context, parents, part, group[0].viewer, wanted)
        for wish in group:
            own, found = found[: len(wish.parents)], found[len(wish.parents) :]
            shown = wish.below.pages.show(own, run)
            for node, page in zip(wish.into, shown, strict=True):
                node[wish.below.key] = page


def find(
    selected: Selected, type_: GraphQLOutputType, details: FieldDetailsList
) -> Pages | None:
    """How to show a list without objects; None where it is none, or needs some."""
    named = get_named_type(type_)
    if not is_object_type(named):
        return None
    definition = named.extensions.get(BACKREF)
    generic = definition.concrete_of if definition else None
    if generic is None or generic.origin is not Connection:
        return None
    try:
        return Pages(selected, named, details)
    except Unplanned:
        return None


def _row_type(selected: Selected, type_: GraphQLOutputType) -> GraphQLObjectType:
    """The type of a list's rows: an interface's only one, too."""
    named = get_named_type(type_)
    if is_abstract_type(named):
        [named, *others] = selected.schema.get_possible_types(named)
        if others:
            raise Unplanned
    if not is_object_type(named):
        raise Unplanned
    return named


def _shown(type_: GraphQLObjectType) -> Shown:
    shown = rows.SHOWN.get(type_.extensions[BACKREF].origin)
    if shown is None:
        raise Unplanned
    return shown


def _leaf(type_: GraphQLOutputType) -> Callable[[Any], Any] | None:
    """What shows a column's value; None where it is shown as it is."""
    inner = type_.of_type if is_non_null_type(type_) else type_
    if not is_leaf_type(inner):
        raise Unplanned
    if inner.name in {"String", "Boolean", "Int"}:
        return None
    serialize = inner.coerce_output_value
    return lambda value: None if value is None else serialize(value)
