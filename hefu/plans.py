"""
Queries of plain fields, run by a plan that is made once for a document.

graphql-core decides everything anew for each field of each row (which type, which
resolver, which arguments, whether the value can be awaited), and wraps whatever holds
something awaited in one coroutine per level: 10 to 20 µs for one field. What depends on
the document and the schema alone is decided here when the plan is made; running it is
reading attributes into dicts.

A plan knows success only. Directives, fragments and introspection have none; and where
anything at all goes wrong while one runs, the query is run again from the beginning by
graphql-core, which then finds the errors, says them and puts them in their places. A
query changes nothing, so that it may be run twice. `tests/hefu/test_plans.py` compares
both ways byte for byte; `HAS_PLANS` turns plans off.

The figures stand in `docs/performance.md`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from inspect import iscoroutine
from typing import Any, cast

from graphql import (
    Executor,
    FieldNode,
    GraphQLField,
    GraphQLLeafType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_argument_values,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    is_union_type,
)
from graphql.pyutils import Path
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema_converter import get_arguments
from strawberry.types.field import StrawberryField

# Tests turn it off, to show that both ways end in the same.
HAS_PLANS = True

BACKREF = "strawberry-definition"


class Unplanned(Exception):
    """Something that a plan does not know: graphql-core does."""


class Run:
    """One request, in the middle of its plan."""

    def __init__(self, executor: Executor[Any]) -> None:
        self._executor = executor
        self._resolvers: dict[int, Resolve] = {}
        self.waiting: list[Waiting] = []

    def resolver(self, step: Step) -> Resolve:
        """The field's resolver with its arguments, the same for every row."""
        known = self._resolvers.get(id(step))
        if known is None:
            known = self._resolvers[id(step)] = self._bound(step)
        return known

    def _bound(self, step: Step) -> Resolve:
        executor = self._executor
        info = executor.build_resolve_info(
            step.field, [step.node], step.parent, Path(None, step.key, None)
        )
        given = (
            get_argument_values(step.field, step.node, executor.variable_values)
            if step.field.args
            else {}
        )
        if step.is_bare:
            return _bare(step.definition, info, given)
        resolve = cast("Callable[..., Any]", step.field.resolve)
        return lambda source: resolve(source, info, **given)


def _bare(
    definition: StrawberryField, info: GraphQLResolveInfo[Any], given: dict[str, Any]
) -> Resolve:
    """Without what Strawberry's wrapper does for each row: arguments, mostly."""
    converter = cast("Any", info.schema)._strawberry_schema.schema_converter
    args, kwargs = get_arguments(
        field=definition,
        source=_SOURCE,
        info=converter.config.info_class(_raw_info=info, _field=definition),
        kwargs=given,
        config=converter.config,
        scalar_registry=converter.scalar_registry,
    )
    resolver = cast("Callable[..., Any]", definition.base_resolver)
    if args:
        return lambda source: resolver(source, **kwargs)
    parent = next((name for name, value in kwargs.items() if value is _SOURCE), None)
    if parent is None:
        return lambda source: resolver(**kwargs)
    return lambda source: resolver(**{**kwargs, parent: source})


# Stands where a row will.
_SOURCE: Any = object()

Resolve = Callable[[Any], Any]
Complete = Callable[[Any, Run], Any]
Waiting = tuple[Awaitable[Any], Complete, dict[str, Any], str]


class Plan:
    """One operation, ready to run."""

    def __init__(self, complete: Complete) -> None:
        self._complete = complete

    async def run(self, executor: Executor[Any]) -> dict[str, Any] | None:
        """The data; None where graphql-core has to be asked."""
        run = Run(executor)
        try:
            data = self._complete(executor.root_value, run)
            while run.waiting:
                waiting, run.waiting = run.waiting, []
                await _finish(waiting, run)
        except Exception:  # noqa: BLE001  Whatever it is, it is found again.
            return None
        return cast("dict[str, Any]", data)


async def _finish(waiting: list[Waiting], run: Run) -> None:
    """Await a level's values, all at once, and complete them."""
    if len(waiting) == 1:
        [(value, complete, into, key)] = waiting
        into[key] = complete(await value, run)
        return
    # Futures and the like wait by themselves; only what must be driven is made a task.
    begun = [
        asyncio.ensure_future(value) if iscoroutine(value) else value
        for value, *_ in waiting
    ]
    try:
        for value, (_, complete, into, key) in zip(begun, waiting, strict=True):
            into[key] = complete(await value, run)
    except BaseException:
        for value in begun:
            if isinstance(value, asyncio.Task):
                value.cancel()
        raise


def plan(schema: GraphQLSchema, operation: OperationDefinitionNode) -> Plan | None:
    """The operation's plan; None where it has something that plans do not know."""
    root = schema.query_type
    if operation.operation is not OperationType.QUERY or operation.directives:
        return None
    if root is None or not HAS_PLANS:
        return None
    try:
        return Plan(_object(schema, root, operation.selection_set))
    except Unplanned:
        return None


class Step:
    """A field that is selected."""

    def __init__(
        self, schema: GraphQLSchema, parent: GraphQLObjectType, node: FieldNode
    ) -> None:
        self.node = node
        self.parent = parent
        self.key = node.alias.value if node.alias else node.name.value
        found = schema.get_field(parent, node.name.value)
        if found is None or node.directives or node.name.value.startswith("__"):
            raise Unplanned
        self.field: GraphQLField = found
        self.complete = _completer(schema, self.field.type, node.selection_set)
        definition = self.field.extensions.get(BACKREF)
        if not isinstance(definition, StrawberryField) or self.field.resolve is None:
            raise Unplanned
        self.definition = definition
        self._name = definition.python_name
        is_plain = getattr(self.field.resolve, "_is_default", False)
        self._read = definition.default_resolver if is_plain else None
        # An exception handler serves unions only.
        is_union = is_union_type(get_named_type(self.field.type))
        self.is_bare = not definition.extensions and not is_union

    def take(self, source: Any, run: Run, into: dict[str, Any]) -> None:
        """The field's value, or a place for it."""
        if self._read is not None:
            into[self.key] = self.complete(self._read(source, self._name), run)
            return
        value = run.resolver(self)(source)
        if optimized_is_awaitable(value):
            into[self.key] = None
            run.waiting.append((value, self.complete, into, self.key))
            return
        into[self.key] = self.complete(value, run)


def _object(
    schema: GraphQLSchema, type_: GraphQLObjectType, selected: SelectionSetNode
) -> Complete:
    steps: list[Step] = []
    typenames: list[str] = []
    keys: list[str] = []
    for node in selected.selections:
        if not isinstance(node, FieldNode) or node.directives:
            raise Unplanned
        keys.append(node.alias.value if node.alias else node.name.value)
        if node.name.value == "__typename":
            typenames.append(keys[-1])
        else:
            steps.append(Step(schema, type_, node))
    if len(set(keys)) != len(keys):
        raise Unplanned  # What is selected twice has to be merged.
    empty: dict[str, Any] = dict.fromkeys(keys)
    empty |= dict.fromkeys(typenames, type_.name)
    takes = [step.take for step in steps]

    def complete(value: Any, run: Run) -> dict[str, Any]:
        # In the order of the document, whatever is there first.
        into = empty.copy()
        for take in takes:
            take(value, run, into)
        return into

    return complete


def _completer(
    schema: GraphQLSchema,
    type_: GraphQLOutputType,
    selected: SelectionSetNode | None,
) -> Complete:
    if is_non_null_type(type_):
        return _required(_completer(schema, type_.of_type, selected))
    if is_list_type(type_):
        return _each(_completer(schema, type_.of_type, selected))
    if is_leaf_type(type_):
        return _leaf(type_)
    if selected is None:
        raise Unplanned
    if is_object_type(type_):
        return _of_one_type(type_, _object(schema, type_, selected))
    if is_abstract_type(type_):
        return _of_several_types(schema, type_, selected)
    raise Unplanned


def _required(inner: Complete) -> Complete:
    def complete(value: Any, run: Run) -> Any:
        if value is None:
            raise Unplanned
        return inner(value, run)

    return complete


def _each(inner: Complete) -> Complete:
    def complete(value: Any, run: Run) -> Any:
        if value is None:
            return None
        if not isinstance(value, (list, tuple)):
            raise Unplanned
        return [inner(item, run) for item in value]

    return complete


def _leaf(type_: GraphQLLeafType) -> Complete:
    serialize = type_.coerce_output_value
    is_text = type_.name in {"String", "ID"}

    def complete(value: Any, run: Run) -> Any:
        if value is None or (is_text and type(value) is str):
            return value
        shown = serialize(value)
        if shown is None:
            raise Unplanned
        return shown

    return complete


def _of_one_type(type_: GraphQLObjectType, inner: Complete) -> Complete:
    belongs = type_.is_type_of
    known: set[type] = set()

    def complete(value: Any, run: Run) -> Any:
        if value is None:
            return None
        if belongs is not None and type(value) not in known:
            if not belongs(value, cast("Any", None)):
                raise Unplanned
            known.add(type(value))
        return inner(value, run)

    return complete


def _of_several_types(
    schema: GraphQLSchema, type_: Any, selected: SelectionSetNode
) -> Complete:
    """An interface or a union: a class is always of the same type."""
    inner = {
        each.name: _object(schema, each, selected)
        for each in schema.get_possible_types(type_)
    }
    known: dict[type, Complete] = {}

    def complete(value: Any, run: Run) -> Any:
        if value is None:
            return None
        found = known.get(type(value))
        if found is None:
            found = known[type(value)] = inner[_name_of(schema, type_, value)]
        return found(value, run)

    return complete


def _name_of(schema: GraphQLSchema, type_: Any, value: Any) -> str:
    definition = getattr(type(value), "__strawberry_definition__", None)
    if definition is None:
        raise Unplanned
    for each in schema.get_possible_types(type_):
        if each.extensions.get(BACKREF) is definition:
            return each.name
    raise Unplanned
