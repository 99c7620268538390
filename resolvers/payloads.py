"""
How a rejection becomes part of an answer.

A `Refusal` is a `LoginFailure` wherever a result's union has one; an `InputRejected` is
the `errors` of whatever payload the field has. So no resolver catches either.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

import strawberry
from strawberry.extensions import FieldExtension
from strawberry.extensions.field_extension import AsyncExtensionResolver
from strawberry.types.base import (
    StrawberryOptional,
    has_object_definition,
)
from strawberry.types.field import StrawberryField

from schema.context import Context
from schema.errors import InputError
from schema.login import LoginFailure
from services.errors import InputRejected
from services.refusals import Refusal

T = TypeVar("T", bound=type)

Info = strawberry.Info[Context, None]


class LoginFailures:
    """Refusals, shown wherever a union holds a LoginFailure."""

    exception_type = Refusal
    error_type = LoginFailure

    def handle(
        self, exception: Refusal, *, field: StrawberryField, info: Info
    ) -> LoginFailure:
        return LoginFailure.of(exception, info.context.caller.origin)


HANDLERS = (LoginFailures(),)


class ErrorsAsData(FieldExtension):
    """
    Answers an input that would not do with the field's own payload.

    Strawberry's exception handlers serve unions only.
    """

    def __init__(self, payload: type) -> None:
        self._payload = payload

    async def resolve_async(
        self, next_: AsyncExtensionResolver, source: Any, info: Info, **kwargs: Any
    ) -> Any:
        try:
            return await next_(source, info, **kwargs)
        except InputRejected as rejection:
            language = info.context.caller.origin.language
            return self._payload(
                errors=[InputError.of(each, language) for each in rejection.problems]
            )


def errors_as_data(root: T) -> T:
    """Have every field of `root` whose payload holds `errors` answer with them."""
    for field in cast("Any", root).__strawberry_definition__.fields:
        payload = _payload(field)
        if payload is not None:
            field.extensions.append(ErrorsAsData(payload))
    return root


def _payload(field: StrawberryField) -> type | None:
    type_ = field.type
    if isinstance(type_, StrawberryOptional):
        type_ = type_.of_type
    if not isinstance(type_, type) or not has_object_definition(type_):
        return None
    fields = type_.__strawberry_definition__.fields
    return type_ if any(each.name == "errors" for each in fields) else None
