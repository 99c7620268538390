"""
What a mutation's root fields gave, so that none is ever run twice.

A plan (`hefu/plans.py`) knows success only: where anything goes wrong, graphql-core
runs the operation again from the beginning. Of a mutation it then gets what has been
done by then in place of doing it: the value that a resolver returned, or the error that
it raised. With plans a login costs a fifth less.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphql import GraphQLResolveInfo, MiddlewareManager
from strawberry.execution import optimized_is_awaitable


class Done:
    """
    By the keys of root fields: what came of them.

    :param begin: is told of each that begins, or is shown once more.
    """

    def __init__(self, begin: Callable[[str], None]) -> None:
        self._begin = begin
        self._values: dict[str, Any] = {}
        self._errors: dict[str, Exception] = {}

    async def do(self, key: str, resolve: Callable[[], Any]) -> Any:
        """What the root field's resolver gives; remembered, whatever it is."""
        self._begin(key)
        try:
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
        if info.path.prev is None:
            key = str(info.path.key)
            self._begin(key)
            if key in self._errors:
                raise self._errors[key]
            if key in self._values:
                return self._values[key]
        return otherwise(source, info, **given)
