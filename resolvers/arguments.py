from __future__ import annotations

from typing import Any, TypeVar, cast

from strawberry.types.base import StrawberryOptional, has_object_definition

T = TypeVar("T", bound=type)


def described_by_type(root: T) -> T:
    """Have every argument of `root` without words of its own say what its type does."""
    for field in cast("Any", root).__strawberry_definition__.fields:
        for argument in field.arguments:
            if argument.description is None:
                argument.description = _description(argument.type)
    return root


def _description(type_: object) -> str | None:
    if isinstance(type_, StrawberryOptional):
        type_ = type_.of_type
    if not has_object_definition(type_):
        return None
    return type_.__strawberry_definition__.description
