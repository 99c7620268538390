"""
A field's resolver, called as a plan calls it: without Strawberry's wrapper.

The wrapper converts a field's arguments for each row. A plan does so once for each
request, or, where none of them is a variable, once for the document: with what follows
from them (`hefu/rows.py`), that was a tenth of a page of lists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, cast

from graphql import (
    ArgumentNode,
    FieldNode,
    GraphQLField,
    GraphQLSchema,
    Visitor,
    get_argument_values,
    visit,
)
from graphql.execution.values import VariableValues
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField

Resolve = Callable[[Any], Any]


class Arguments:
    """
    What a document gives to a field's arguments.

    :ivar are_fixed: they are the same for every request.
    """

    def __init__(self, field: GraphQLField, node: FieldNode) -> None:
        self._field = field
        self._node = node
        self.are_fixed = not has_variables(node.arguments or ())

    def of(self, variables: VariableValues) -> dict[str, Any]:
        if not self._field.args:
            return {}
        return get_argument_values(self._field, self._node, variables)


class Call:
    """A resolver with its arguments, for one request after the other."""

    def __init__(
        self, schema: GraphQLSchema, definition: StrawberryField, arguments: Arguments
    ) -> None:
        resolver = definition.base_resolver
        assert resolver is not None  # noqa: S101
        row = resolver.parent_parameter or resolver.root_parameter
        info = resolver.info_parameter
        self._resolver = cast("Callable[..., Any]", resolver)
        self._takes_self = resolver.self_parameter is not None
        self._row = row.name if row else None
        self._info = info.name if info else None
        self._converter = cast("Any", schema)._strawberry_schema.schema_converter
        self._definition = definition
        self._arguments = arguments
        self._fixed: dict[str, Any] | None = None

    def bound(self, variables: VariableValues, tell: Callable[[], Any]) -> Resolve:
        """With everything but the row; `tell` makes the `Info`, if it is wanted."""
        call, named = self._resolver, self._named(variables)
        if self._info is not None:
            named = {**named, self._info: tell()}
        if self._takes_self:
            return lambda source: call(source, **named)
        if self._row is None:
            return lambda source: call(**named)
        row = self._row
        return lambda source: call(**named, **{row: source})

    def _named(self, variables: VariableValues) -> dict[str, Any]:
        if self._fixed is not None:
            return self._fixed
        named = convert_arguments(
            self._arguments.of(variables),
            self._definition.arguments,
            scalar_registry=self._converter.scalar_registry,
            config=self._converter.config,
        )
        # What somebody could change is made anew for each.
        if self._arguments.are_fixed and all(map(_is_constant, named.values())):
            self._fixed = named
        return named


def _is_constant(value: object) -> bool:
    return value is None or isinstance(value, (str, int, float, Enum))


def has_variables(nodes: Sequence[ArgumentNode]) -> bool:
    found = _Variables()
    for node in nodes:
        visit(node, found)
    return found.any


class _Variables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.any = False

    def enter_variable(self, *_: object) -> None:
        self.any = True
