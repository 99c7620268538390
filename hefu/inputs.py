"""
Input objects, made without finding out anew what each of their fields is.

For every value that a client sends, Strawberry asks what its field is called, what its
type is and how that converts: a twentieth of a login. The schema decides all of it, so
it is found out once for each type. Strawberry makes them so through its own hook,
`from_input`, and everything that is no plain value by itself, as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING
from typing import Any, NamedTuple, cast

import strawberry
from strawberry.relay import GlobalID
from strawberry.scalars import is_scalar
from strawberry.types.arguments import InputContext
from strawberry.types.base import (
    StrawberryMaybe,
    StrawberryObjectDefinition,
    StrawberryOptional,
)
from strawberry.types.enum import StrawberryEnumDefinition, has_enum_definition
from strawberry.types.field import StrawberryField


class Field(NamedTuple):
    """Of an input; `type` is None where the value is taken as graphql-core gives it."""

    name: str
    python_name: str
    type: Any


class Maker:
    """Makes objects of one input type."""

    def __init__(self, definition: StrawberryObjectDefinition) -> None:
        self._definition = definition
        # Of what a client leaves out, the object's own default or None.
        self._empty: dict[str, Any] = {
            field.python_name: None
            for field in definition.fields
            if field.default_value is MISSING and field.default_factory is MISSING
        }
        # Types may name one another: they are looked at when one is first wanted.
        self._fields: list[Field] = []

    def __call__(
        self, type_: type, value: Mapping[str, Any], context: InputContext
    ) -> Any:
        """What `convert_argument` of Strawberry makes of `value`."""
        if not self._fields:
            self._fields = [
                self._field(each, context) for each in self._definition.fields
            ]
        given = self._empty.copy()
        for name, python_name, wanted in self._fields:
            if name not in value:
                continue
            given[python_name] = (
                value[name]
                if wanted is None
                else context.convert(value[name], wanted, name)
            )
        return type_(**given)

    def _field(self, field: StrawberryField, context: InputContext) -> Field:
        type_ = cast("Any", field.resolve_type(type_definition=self._definition))
        return Field(
            context.config.name_converter.from_field(field),
            field.python_name,
            None if _is_plain(type_, context) else type_,
        )


def prepare(schema: strawberry.Schema) -> None:
    """Have all input objects of the schema made by a `Maker`."""
    for known in schema.schema_converter.type_map.values():
        definition = known.definition
        if isinstance(definition, StrawberryObjectDefinition) and definition.is_input:
            definition.from_input = Maker(definition)


def _is_plain(type_: Any, context: InputContext) -> bool:
    """Whether it is a scalar or an enumeration, or one of them or null."""
    if isinstance(type_, StrawberryMaybe) or type_ is GlobalID:
        return False
    if isinstance(type_, StrawberryOptional):
        return _is_plain(type_.of_type, context)
    if isinstance(type_, StrawberryEnumDefinition) or has_enum_definition(type_):
        return True
    return is_scalar(type_, context.scalar_registry)
