"""
What is said of a value that does not fit, without the value.

graphql-core repeats what it was given ("String cannot represent a non string value:
{'password': …}"), and an error message ends up in crash reports, consoles and logs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from graphql import (
    SKIP,
    GraphQLError,
    GraphQLInputType,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    ValueNode,
    VariableDefinitionNode,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    type_from_ast,
)
from graphql.language import VisitorAction
from graphql.utilities.validate_input_value import (
    validate_input_literal,
    validate_input_value,
)
from graphql.validation import ValuesOfCorrectTypeRule

MOST_ERRORS = 10

# The beginnings that name types, fields and variables only; whatever does not begin
# like one of them is replaced, so that a new sentence of graphql-core cannot leak.
_NAME = r"[_A-Za-z][_0-9A-Za-z]{0,63}"
_TYPE = r"[_0-9A-Za-z\[\]!]+"
_NO_OBJECT = " to be an object."
_SAFE = re.compile(
    rf"Expected value of type '{_TYPE}' (?:to be an object"
    rf"|to include required field '{_NAME}'"
    rf"|not to include unknown field '{_NAME}'(?:\. Did you mean [_0-9A-Za-z', ]+\?)?)"
    rf"|Expected a? ?value of non-null type '{_TYPE}' (?:not to be None|to be provided)"
)


class MaskedValuesRule(ValuesOfCorrectTypeRule):
    """ValuesOfCorrectTypeRule, whose messages keep the literals to themselves."""

    def is_valid_value_node(
        self, node: ValueNode, input_type: GraphQLInputType | None
    ) -> VisitorAction:
        if input_type is None:
            return SKIP

        def report(error: GraphQLError, path: list[str | int]) -> None:
            message = masked(error.message, input_type, path)
            self.report_error(GraphQLError(message, error.nodes or node))

        hidden = self.context.hide_suggestions
        validate_input_literal(node, input_type, report, None, None, hidden)
        return SKIP


def refusals(
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    given: Mapping[str, Any],
    *,
    hide_suggestions: bool,
) -> list[GraphQLError]:
    """Why these variables do not fit this operation: at most ten reasons."""
    errors: list[GraphQLError] = []
    for definition in operation.variable_definitions or ():
        try:
            _check(schema, definition, given, errors, hide_suggestions=hide_suggestions)
        except (_Enough, RecursionError):
            break
    return errors or [GraphQLError("The variables do not fit the operation.")]


def wants_object(misfits: Iterable[GraphQLError]) -> bool:
    """Whether one of them is a scalar or a list where an object has to be."""
    return any(misfit.message.endswith(_NO_OBJECT) for misfit in misfits)


class _Enough(Exception):
    pass


def _check(
    schema: GraphQLSchema,
    definition: VariableDefinitionNode,
    given: Mapping[str, Any],
    errors: list[GraphQLError],
    *,
    hide_suggestions: bool,
) -> None:
    name = definition.variable.name.value
    type_: Any = type_from_ast(schema, definition.type)
    value = given.get(name, Undefined)
    if value is Undefined and definition.default_value:
        return

    def report(error: GraphQLError, path: list[str | int]) -> None:
        if len(errors) >= MOST_ERRORS:
            raise _Enough
        at = ".".join(str(step) for step in (f"${name}", *path))
        message = f"Variable {at}: {masked(error.message, type_, path)}"
        errors.append(GraphQLError(message, definition))

    validate_input_value(value, type_, report, hide_suggestions)


def masked(message: str, type_: GraphQLInputType, path: list[str | int]) -> str:
    """The message if it holds no value; what was expected there, if it may."""
    safe = _SAFE.match(message)
    if safe is None:
        return f"Expected a value of type '{_type_at(type_, path)}'."
    return safe.group().replace("None", "null").removesuffix(".") + "."


def _type_at(type_: GraphQLInputType, path: list[str | int]) -> GraphQLInputType:
    for step in path:
        if is_non_null_type(type_):
            type_ = type_.of_type
        if isinstance(step, int) and is_list_type(type_):
            type_ = type_.of_type
        if isinstance(step, str) and is_input_object_type(type_):
            type_ = type_.fields[step].type
    return type_
