"""Inputs as the services want them: what was left out is told from what is null."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, cast

import strawberry


class Filled:
    """
    An input in which leaving a field out and sending null say the same.

    Either is the field's default, or None where it has none.
    """

    def __post_init__(self) -> None:
        for name, default in _defaults(cast("Any", type(self))):
            value = getattr(self, name)
            if value is None or value is strawberry.UNSET:
                setattr(self, name, default)


def sent(input: object) -> dict[str, Any]:
    """
    What a client sent of an update, by Python name and without the id.

    A field that was left out is not in it; one that was sent as null is None.
    """
    return {
        field.name: getattr(input, field.name)
        for field in dataclasses.fields(input)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        if field.name != "id" and getattr(input, field.name) is not strawberry.UNSET
    }


@functools.cache
def _defaults(input: type) -> list[tuple[str, Any]]:
    return [(each.name, _default(each)) for each in dataclasses.fields(input)]


def _default(field: dataclasses.Field[Any]) -> Any:
    known = field.default
    if known is dataclasses.MISSING or known is strawberry.UNSET:
        return None
    return known
