"""
What a mutation's root fields gave, so that none is ever run twice.

A plan (`hefu/plans.py`) knows success only: where anything goes wrong, graphql-core
runs the operation again from the beginning. Of a mutation it then gets what has been
done by then in place of doing it: the value that a resolver returned, or the error that
it raised. With plans a login costs a fifth less.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from graphql import GraphQLResolveInfo, MiddlewareManager
from strawberry.execution import optimized_is_awaitable


class Begun(Protocol):
    """What is told of a mutation's root fields."""

    async def begin(self, key: str) -> None:
        """It begins; whatever this raises is the field's error."""

    def show_again(self, key: str) -> None:
        """It was done already, and is shown once more."""


class Done:
    """By the keys of root fields: what came of them."""

    def __init__(self, begun: Begun) -> None:
        self._begun = begun
        self._values: dict[str, Any] = {}
        self._errors: dict[str, Exception] = {}

    async def do(self, key: str, resolve: Callable[[], Any]) -> Any:
        """What the root field's resolver gives; remembered, whatever it is."""
        try:
            await self._begun.begin(key)
            value = resolve()
            if optimized_is_awaitable(value):
                value = await value
            self._values[key] = value
        except Exception as error:
            self._errors[key] = error
            raise
        return value

    def middleware(self) -> MiddlewareManager:
        """What has graphql-core find it."""
        return MiddlewareManager(self)

    def resolve(
        self,
        otherwise: Callable[..., Any],
        source: object,
        info: GraphQLResolveInfo[Any],
        **given: Any,
    ) -> Any:
        """What was done already; what `otherwise` does, where nothing was."""
        if info.path.prev is not None or info.field_name.startswith("__"):
            return otherwise(source, info, **given)
        key = str(info.path.key)
        if key in self._errors:
            raise self._errors[key]
        if key in self._values:
            self._begun.show_again(key)
            return self._values[key]
        return self.do(key, partial(otherwise, source, info, **given))
