"""
Pages of rows, shown column by column: the part of a plan that lists consist of.

Where everything that a list's rows are asked for is a column of theirs, or a list of
the same kind below them (`schema/rows.py` says which), no object is made of a row.
Only these columns are read, the lists below by the same statement
(`services/branches.py`); each is turned into what is shown for all rows at once, and
put into their dicts. `docs/performance.md` has the figures.

Roles are checked where they always are: a page comes from its list's own resolver, and
what lies below it is for administrators alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, chain, pairwise
from typing import Any

from graphql import (
    GraphQLObjectType,
    GraphQLOutputType,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
    is_non_null_type,
    is_object_type,
)
from graphql.execution.collect_fields import FieldDetailsList

from hefu.calls import Arguments
from hefu.levels import Level, Object, Objects, Show, Values
from hefu.plans import BACKREF, Run, Selected, Step, Unplanned
from models import database, id_columns
from models.ids import uuid_of
from schema import rows
from schema.node import Viewer
from schema.pages import Connection, asked
from schema.rows import Made, Shown
from services.branches import Branch, Wanted


class Nodes:
    """What is selected of each row."""

    def __init__(
        self, selected: Selected, type_: GraphQLObjectType, details: FieldDetailsList
    ) -> None:
        self._shown = _shown(type_)
        self.below: list[Below] = []
        self.wanted: set[str] = set()
        fields = selected.fields(type_, details)
        objects = Objects(type_, fields)
        for key, found in fields.items():
            if found[0].node.name.value == "__typename":
                objects.names_type(key)
            else:
                objects.shows(key, self._show(selected, type_, key, found))
        self.show = objects.of

    def _show(
        self,
        selected: Selected,
        type_: GraphQLObjectType,
        key: str,
        details: FieldDetailsList,
    ) -> Show:
        listed = self._shown.lists.get(selected.python_name(type_, details))
        if listed is not None:
            below = Below(selected, type_, details, listed)
            self.below.append(below)
            return below.show
        step = selected.step(type_, key, details)
        if not step.is_plain:
            raise Unplanned
        if step.name == "id":
            prefix, ids = self._shown.prefix, self._values("id")
            return lambda level, run: id_columns.show(prefix, ids(level))
        if step.name in self._shown.made:
            return self._made(step, self._shown.made[step.name])
        return self._column(step)

    def _made(self, step: Step, made: Made) -> Show:
        columns = [self._values(name) for name in made.columns]

        def show(level: Level, run: Run) -> Values:
            given = [values(level) for values in columns]
            return [
                step.complete(made.make(*each), run)
                for each in zip(*given, strict=True)
            ]

        return show

    def _column(self, step: Step) -> Show:
        values = self._values(step.name)
        show_one = _leaf(step.field.type)
        is_required = is_non_null_type(step.field.type)

        def show(level: Level, run: Run) -> Values:
            found = values(level)
            if is_required and None in found:
                raise Unplanned
            return [show_one(value) for value in found] if show_one else found

        return show

    def _values(self, name: str) -> Callable[[Level], Sequence[Any]]:
        """What a column holds, as the model would have it."""
        if name not in self._shown.model._meta.fields_db_projection:
            raise Unplanned
        self.wanted.add(name)
        model, column = self._shown.model, f"t.{name}"

        def values(level: Level) -> Sequence[Any]:
            convert = database.conversions(model)[name]
            found = level.columns[column]
            return found if convert is None else [convert(value) for value in found]

        return values


class Edges:
    """What is selected of each edge."""

    def __init__(
        self, selected: Selected, type_: GraphQLObjectType, details: FieldDetailsList
    ) -> None:
        self.below: list[Below] = []
        self.wanted: set[str] = set()
        fields = selected.fields(type_, details)
        objects = Objects(type_, fields)
        for key, found in fields.items():
            name = found[0].node.name.value
            if name == "__typename":
                objects.names_type(key)
            elif name == "cursor":
                objects.shows(key, Level.cursors)
            else:
                inner = _row_type(selected, type_.fields[name].type)
                nodes = Nodes(selected, inner, found)
                self.below += nodes.below
                self.wanted |= nodes.wanted
                objects.shows(key, nodes.show)
        self.show = objects.of


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
        lists = self._lists.values()
        self.below = [below for each in lists for below in each.below]
        for number, below in enumerate(self.below):
            below.name = f"list.{number}"
        self._fields = frozenset(name for each in lists for name in each.wanted)
        self._fixed: Wanted | None = None

    def wanted(self, run: Run) -> Wanted:
        """What is to be read of the rows; the same for every request, if it can be."""
        if self.below:
            Viewer.of(run.context.caller).require_admin()
        if self._fixed is not None:
            return self._fixed
        wanted = Wanted(self._fields, tuple(each.branch(run) for each in self.below))
        if self.are_fixed:
            self._fixed = wanted
        return wanted

    @property
    def are_fixed(self) -> bool:
        """No variable says which parts of the lists below are shown."""
        return all(each.is_fixed for each in self.below)

    def complete(self, value: Any, run: Run) -> Object:
        """A page that is not null; see `Plan`."""
        if not isinstance(value, Connection) or not value.viewer.is_admin:
            raise Unplanned
        [shown] = self.show(Level.of(value), run)
        return shown

    def show(self, level: Level, run: Run) -> list[Object]:
        objects = [self._empty.copy() for _ in level.parts]
        for step in self._steps:
            for connection, into in zip(level.connections, objects, strict=True):
                step.take(connection, run, into)
        for key, each in self._lists.items():
            found = each.show(level, run)
            for part, into in zip(level.parts, objects, strict=True):
                into[key] = found[part]
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


class Below:
    """A list that each row of a page has."""

    def __init__(
        self,
        selected: Selected,
        parent: GraphQLObjectType,
        details: FieldDetailsList,
        listed: rows.Below,
    ) -> None:
        self._listed = listed
        field = parent.fields[details[0].node.name.value]
        type_ = get_named_type(field.type)
        if not is_object_type(type_):
            raise Unplanned
        self._arguments = Arguments(field, details[0].node)
        self._pages = Pages(selected, type_, details)
        self.is_fixed = self._arguments.are_fixed and self._pages.are_fixed
        self._fixed: Branch[Any] | None = None
        # What the rows call it: among what else is read of them, its number.
        self.name = ""

    def branch(self, run: Run) -> Branch[Any]:
        """What the statement that reads the rows reads of their lists."""
        known = self._fixed or run.branches.get(self)
        if known is not None:
            return known
        branch = run.branches[self] = self._branch(run)
        if self.is_fixed:
            self._fixed = branch
        return branch

    def _branch(self, run: Run) -> Branch[Any]:
        given = self._arguments.of(run.variables)
        ends = (given.get(name) for name in ("first", "after", "last", "before"))
        nested = self._listed.loader(run.context.loaders).nested
        part = asked(*ends).of(nested.order)
        if part.after is not None or part.before is not None:
            # A cursor is a place in one row's list: nobody asks fifty rows for it.
            raise Unplanned
        return Branch(self.name, nested, part, self._pages.wanted(run))

    def show(self, level: Level, run: Run) -> list[Object]:
        """Each row's page."""
        branch = self.branch(run)
        read = branch.read(level.columns)
        lists = [branch.shown(column) for column in read]

        def connections() -> list[Connection[Any]]:
            parents = [uuid_of(id) for id in level.columns["t.id"]]
            return self._listed.connections(
                run.context, branch, parents, read, level.viewer
            )

        ends = accumulate(map(len, lists[0]), initial=0)
        below = Level(
            {
                name: list(chain.from_iterable(column))
                for name, column in zip(branch.names, lists, strict=True)
            },
            [slice(*each) for each in pairwise(ends)],
            level.viewer,
            connections,
        )
        return self._pages.show(below, run)


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
