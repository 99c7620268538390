"""
Operations, run by a plan that is made once for a document.

graphql-core decides everything anew for each field of each row (which type, which
resolver, which arguments, whether the value can be awaited), and wraps whatever holds
something awaited in one coroutine per level: 10 to 20 µs for one field. What depends on
the document and the schema alone is decided here when the plan is made; running it is
reading attributes into dicts. Which fields are selected (fragments unfolded, `@skip`
and `@include` obeyed, what is selected twice merged) graphql-core itself says.

A plan knows success only. Introspection has none; and where anything at all goes wrong
while one runs, the operation is run again from the beginning by graphql-core, which
then finds the errors, says them and puts them in their places. A query changes nothing,
so that it may be run twice; of a mutation, what was done is kept (`hefu/done.py`).
`tests/hefu/test_plans.py` compares both ways byte for byte; `HAS_PLANS` turns plans
off.

The figures stand in `docs/performance.md`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from inspect import iscoroutine
from typing import Any, cast

from graphql import (
    DirectiveNode,
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLLeafType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    Visitor,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    is_union_type,
    visit,
)
from graphql.execution.collect_fields import (
    FieldDetailsList,
    FragmentDetails,
    GroupedFieldSet,
    collect_fields,
    collect_subfields,
)
from graphql.execution.values import VariableValues
from graphql.pyutils import Path
from strawberry.execution import optimized_is_awaitable
from strawberry.types.field import StrawberryField

from hefu.calls import Arguments, Call, Resolve
from hefu.done import Done
from services.branches import Branch

# Tests turn it off, to show that both ways end in the same.
HAS_PLANS = True

BACKREF = "strawberry-definition"

# Of variables that directives decide by: each doubles the plans.
MOST_SWITCHES = 4
# Of one plan. A console's largest query has a hundred.
MOST_STEPS = 1000


class Unplanned(Exception):
    """Something that a plan does not know: graphql-core does."""


class Run:
    """One request, in the middle of its plan."""

    def __init__(self, context: Any, variables: VariableValues) -> None:
        self.context = context
        self.variables = variables
        self._resolvers: dict[int, Resolve] = {}
        self.waiting: list[Waiting] = []
        self.branches: dict[rows.Below, Branch[Any]] = {}

    def resolver(self, step: Step) -> Resolve:
        """The field's resolver with its arguments, the same for every row."""
        known = self._resolvers.get(id(step))
        if known is None:
            known = self._resolvers[id(step)] = step.bound(self)
        return known

    def give_up(self) -> None:
        """Of coroutines that were never begun Python says so on standard error."""
        for value, *_ in self.waiting:
            if iscoroutine(value):
                value.close()


Complete = Callable[[Any, Run], Any]
Waiting = tuple[Awaitable[Any], Complete, dict[str, Any], str]


class Plan:
    """One operation, ready to run."""

    def __init__(self, complete: Complete) -> None:
        self._complete = complete

    async def run(
        self, context: object, variables: VariableValues
    ) -> dict[str, Any] | None:
        """The data; None where graphql-core has to be asked."""
        run = Run(context, variables)
        try:
            data = self._complete(None, run)
            await _finish(run)
        except Exception:  # noqa: BLE001  Whatever it is, it is found again.
            run.give_up()
            return None
        return cast("dict[str, Any]", data)


class MutationPlan:
    """A mutation, ready to run: its root fields one after the other, each whole."""

    def __init__(self, empty: dict[str, Any], steps: Sequence[Step]) -> None:
        self._empty = empty
        self._steps = steps

    async def run(
        self, context: object, variables: VariableValues, done: Done
    ) -> dict[str, Any] | None:
        """The data; None where graphql-core has to be asked, with what is done."""
        run = Run(context, variables)
        into = self._empty.copy()
        try:
            for step in self._steps:
                resolve = partial(run.resolver(step), None)
                value = await done.do(step.key, resolve)
                into[step.key] = step.complete(value, run)
                await _finish(run)
        except Exception:  # noqa: BLE001  Whatever it is, it is found again.
            run.give_up()
            return None
        return into


async def _finish(run: Run) -> None:
    """Level by level, to the leaves."""
    while run.waiting:
        waiting, run.waiting = run.waiting, []
        await _await(waiting, run)


async def _await(waiting: list[Waiting], run: Run) -> None:
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
    tasks = [value for value in begun if isinstance(value, asyncio.Task)]
    try:
        for value, (_, complete, into, key) in zip(begun, waiting, strict=True):
            into[key] = complete(await value, run)
    except Exception:
        # Not cut short: graphql-core asks the same again, of the same loaders.
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    except BaseException:
        for task in tasks:
            task.cancel()
        raise


class Plans:
    """
    An operation's plans: one for each way in which its `@skip` and `@include` decide.

    Each is made when it is first wanted.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
    ) -> None:
        self._schema = schema
        self._operation = operation
        self._fragments = dict(fragments)
        self._switches = _switches(operation, fragments.values())
        self._known: dict[tuple[object, ...], Plan | MutationPlan | None] = {}
        self._has_any = (
            not operation.directives and len(self._switches) <= MOST_SWITCHES
        )

    def of(self, variables: VariableValues) -> Plan | MutationPlan | None:
        """The plan to run with these; None where it has what plans do not know."""
        if not self._has_any or not HAS_PLANS:
            return None
        way = tuple(variables.coerced.get(name) for name in self._switches)
        if way not in self._known:
            self._known[way] = self._plan(variables)
        return self._known[way]

    def _plan(self, variables: VariableValues) -> Plan | MutationPlan | None:
        selected = Selected(self._schema, self._operation, self._fragments, variables)
        try:
            if self._operation.operation is OperationType.MUTATION:
                return MutationPlan(*selected.root())
            return Plan(_completer_of(*selected.root()))
        except Exception:  # noqa: BLE001  graphql-core runs what has no plan.
            return None


class _Switches(Visitor):
    """Finds the names of the variables by which directives decide."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_directive(self, node: DirectiveNode, *_: object) -> None:
        values = [argument.value for argument in node.arguments or ()]
        self.names |= {
            value.name.value for value in values if isinstance(value, VariableNode)
        }


def _switches(
    operation: OperationDefinitionNode, fragments: Iterable[FragmentDefinitionNode]
) -> list[str]:
    found = _Switches()
    for node in (operation, *fragments):
        visit(node, found)
    return sorted(found.names)


class Selected:
    """What an operation selects with these variables, turned into steps."""

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: dict[str, FragmentDefinitionNode],
        variables: VariableValues,
    ) -> None:
        self.schema = schema
        self.operation = operation
        self.fragments = fragments
        self._details = {
            name: FragmentDetails(each) for name, each in fragments.items()
        }
        self._variables = variables
        self._steps = 0

    def root(self) -> tuple[dict[str, Any], list[Step]]:
        """What stands in the answer already, and the steps to the rest."""
        root = self.schema.get_root_type(self.operation.operation)
        if root is None:
            raise Unplanned
        found = collect_fields(
            self.schema, self._details, self._variables, root, self.operation
        )
        return self._object(root, found.grouped_field_set)

    def below(self, type_: GraphQLObjectType, details: FieldDetailsList) -> Complete:
        """Of an object of this type: what these fields select of it."""
        return _completer_of(*self._object(type_, self.fields(type_, details)))

    def fields(
        self, type_: GraphQLObjectType, details: FieldDetailsList
    ) -> GroupedFieldSet:
        """What these fields select of an object of this type, by keys."""
        return collect_subfields(
            self.schema,
            self._details,
            self._variables,
            self.operation,
            type_,
            details,
        ).grouped_field_set

    def step(
        self, type_: GraphQLObjectType, key: str, details: FieldDetailsList
    ) -> Step:
        self._steps += 1
        if self._steps > MOST_STEPS:
            # Fragments within fragments unfold to more than anybody wrote.
            raise Unplanned
        return Step(self, type_, key, details)

    def python_name(self, type_: GraphQLObjectType, details: FieldDetailsList) -> str:
        """What the schema's classes call the field."""
        definition = type_.fields[details[0].node.name.value].extensions.get(BACKREF)
        if not isinstance(definition, StrawberryField):
            raise Unplanned
        return definition.python_name

    def _object(
        self, type_: GraphQLObjectType, fields: GroupedFieldSet
    ) -> tuple[dict[str, Any], list[Step]]:
        empty: dict[str, Any] = dict.fromkeys(fields)
        steps: list[Step] = []
        for key, details in fields.items():
            if details[0].node.name.value == "__typename":
                empty[key] = type_.name
                continue
            steps.append(self.step(type_, key, details))
        return empty, steps


def _completer_of(empty: dict[str, Any], steps: Sequence[Step]) -> Complete:
    takes = [step.take for step in steps]

    def complete(value: Any, run: Run) -> dict[str, Any]:
        # In the order of the document, whatever is there first.
        into = empty.copy()
        for take in takes:
            take(value, run, into)
        return into

    return complete


class Step:
    """A field that is selected."""

    def __init__(
        self,
        selected: Selected,
        parent: GraphQLObjectType,
        key: str,
        details: FieldDetailsList,
    ) -> None:
        self.key = key
        self._nodes = [each.node for each in details]
        name = self._nodes[0].name.value
        found = selected.schema.get_field(parent, name)
        if found is None or name.startswith("__"):
            raise Unplanned
        self.field: GraphQLField = found
        self._pages = self._find_pages(selected, parent, details)
        self.complete = self._completer(selected, details)
        definition = self.field.extensions.get(BACKREF)
        if not isinstance(definition, StrawberryField) or self.field.resolve is None:
            raise Unplanned
        self._definition = definition
        self.name = definition.python_name
        self.is_plain: bool = getattr(self.field.resolve, "_is_default", False)
        self._read = definition.default_resolver if self.is_plain else None
        self._arguments = Arguments(self.field, self._nodes[0])
        # An exception handler serves unions only.
        is_union = is_union_type(get_named_type(self.field.type))
        self._call: Call | None = None
        if not (self.is_plain or definition.extensions or is_union):
            self._call = Call(selected.schema, definition, self._arguments)
        self._selected = selected
        self._parent = parent

    def _find_pages(
        self, selected: Selected, parent: GraphQLObjectType, details: FieldDetailsList
    ) -> rows.Pages | None:
        pages = rows.find(selected, self.field.type, details)
        # Lists of lists come by one statement where the first is one of Query's.
        is_whole = parent is selected.schema.query_type
        return pages if pages and (is_whole or not pages.below) else None

    def _completer(self, selected: Selected, details: FieldDetailsList) -> Complete:
        if self._pages is None:
            return _completer(selected, self.field.type, details)
        return self._pages.complete

    def take(self, source: Any, run: Run, into: dict[str, Any]) -> None:
        """The field's value, or a place for it."""
        if self._read is not None:
            into[self.key] = self.complete(self._read(source, self.name), run)
            return
        value = run.resolver(self)(source)
        if optimized_is_awaitable(value):
            into[self.key] = None
            run.waiting.append((value, self.complete, into, self.key))
            return
        into[self.key] = self.complete(value, run)

    def bound(self, run: Run) -> Resolve:
        """The resolver, with everything but the row."""
        if self._call is not None:
            return self._call.bound(run.variables, lambda: self._told(run))
        resolve = cast("Callable[..., Any]", self.field.resolve)
        info, given = self._info(run), self._arguments.of(run.variables)
        return lambda source: resolve(source, info, **given)

    def _told(self, run: Run) -> Any:
        """What a resolver is told as `info`."""
        schema = cast("Any", self._selected.schema)._strawberry_schema
        info = schema.config.info_class(
            _raw_info=self._info(run), _field=self._definition
        )
        if self._pages is not None:
            info.wanted = self._pages.wanted(run)
        return info

    def _info(self, run: Run) -> GraphQLResolveInfo[Any]:
        """As the executor makes it, but for its helpers, which nobody here uses."""
        return GraphQLResolveInfo(
            field_name=self._nodes[0].name.value,
            field_nodes=self._nodes,
            return_type=self.field.type,
            parent_type=self._parent,
            path=Path(None, self.key, None),
            schema=self._selected.schema,
            fragments=self._selected.fragments,
            root_value=None,
            operation=self._selected.operation,
            variable_values=run.variables,
            context=run.context,
            is_awaitable=cast("Any", optimized_is_awaitable),
            abort_signal=None,
            async_helpers=cast("Any", None),
        )


def _completer(
    selected: Selected, type_: GraphQLOutputType, details: FieldDetailsList
) -> Complete:
    if is_non_null_type(type_):
        return _required(_completer(selected, type_.of_type, details))
    if is_list_type(type_):
        return _each(_completer(selected, type_.of_type, details))
    if is_leaf_type(type_):
        return _leaf(type_)
    if is_object_type(type_):
        return _of_one_type(type_, selected.below(type_, details))
    if is_abstract_type(type_):
        return _of_several_types(selected, type_, details)
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
    selected: Selected, type_: Any, details: FieldDetailsList
) -> Complete:
    """An interface or a union: a class is always of the same type."""
    schema = selected.schema
    inner = {
        each.name: selected.below(each, details)
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


# At the end, since what it names in turn is in this module.
from hefu import rows  # noqa: E402
