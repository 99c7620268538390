"""Operations for every root field, generated from the schema itself."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLOutputType,
    get_named_type,
    is_composite_type,
    is_enum_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    is_union_type,
)

from hefu.api import schema

SCHEMA = schema._schema  # pyright: ignore[reportPrivateUsage]

# What stands at `…Id` and elsewhere where a test knows of nothing better.
PLAUSIBLE: dict[str, Any] = {
    "String": "plausible",
    "ID": "usr_01kb3v5x9gf2tvrzc1q0k7m4dh",
    "Int": 1,
    "Boolean": True,
    "DateTime": "2030-01-02T03:04:05.000Z",
}

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One root field, called with every argument that it takes."""

    operation: str
    name: str
    field: GraphQLField

    @property
    def document(self) -> str:
        """Asks of the answer what tells a refusal from success."""
        arguments = self.field.args
        declared = ", ".join(
            f"${name}: {each.type}" for name, each in arguments.items()
        )
        passed = ", ".join(f"{name}: ${name}" for name in arguments)
        head = f"{self.operation}({declared})" if declared else self.operation
        call = f"{self.name}({passed})" if passed else self.name
        return f"{head} {{ {call} {selection(self.field.type)} }}"

    def variables(self, known: dict[str, Any] | None = None) -> dict[str, Any]:
        """`known` says better values by an argument's or input field's name."""
        return {
            name: value(each.type, name, known or {})
            for name, each in self.field.args.items()
        }

    def leaves(self, scalar: set[str]) -> Iterator[Path]:
        """Where a value of one of these types stands in `variables()`."""
        for name, each in self.field.args.items():
            yield from _leaves(each.type, (name,), scalar)


def calls() -> list[Call]:
    """Every field of Query and of Mutation."""
    roots = (("query", SCHEMA.query_type), ("mutation", SCHEMA.mutation_type))
    return [
        Call(operation, name, field)
        for operation, root in roots
        if root is not None
        for name, field in root.fields.items()
    ]


def selection(type_: GraphQLOutputType) -> str:
    named = get_named_type(type_)
    if not is_composite_type(named):
        return ""
    if is_union_type(named):
        return "{ __typename ... on LoginFailure { code message } }"
    if is_object_type(named) and "errors" in named.fields:
        return "{ __typename errors { path code message } }"
    if is_object_type(named) and "nodes" in named.fields:
        return "{ nodes { __typename } pageInfo { endCursor } }"
    return "{ __typename }"


def value(type_: GraphQLInputType, name: str, known: dict[str, Any]) -> Any:
    """A value that coerces, and makes sense where `known` has one."""
    if is_non_null_type(type_):
        return value(type_.of_type, name, known)
    if name in known:
        return copy.deepcopy(known[name])
    if is_list_type(type_):
        return [value(type_.of_type, name, known)]
    if is_input_object_type(type_):
        return _object(type_, known)
    if is_enum_type(type_):
        return next(iter(type_.values))
    return PLAUSIBLE[get_named_type(type_).name]


def replaced(variables: dict[str, Any], path: Path, new: Any) -> dict[str, Any]:
    changed = copy.deepcopy(variables)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = new
    return changed


def _object(type_: GraphQLInputObjectType, known: dict[str, Any]) -> dict[str, Any]:
    return {name: value(each.type, name, known) for name, each in type_.fields.items()}


def _leaves(type_: GraphQLInputType, path: Path, scalar: set[str]) -> Iterator[Path]:
    if is_non_null_type(type_):
        yield from _leaves(type_.of_type, path, scalar)
    elif is_list_type(type_):
        yield from _leaves(type_.of_type, (*path, 0), scalar)
    elif is_input_object_type(type_):
        for name, each in type_.fields.items():
            yield from _leaves(each.type, (*path, name), scalar)
    elif get_named_type(type_).name in scalar:
        yield path
