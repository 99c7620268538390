"""Every statement of a Tortoise client, whoever sends it, through one door."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

from tortoise.backends.base.client import BaseDBAsyncClient

T = TypeVar("T")


class Guarded(BaseDBAsyncClient):
    """
    Comes before Tortoise's own client among the bases.

    The ORM calls these methods as SQL of ours does: what waits too long, or fails since
    the database does, says so in the same words.
    """

    async def guarded(self, ask: Callable[..., Awaitable[T]], *values: Any) -> T:
        """
        :raises DatabaseUnavailable: the database did not answer in time.
        """
        raise NotImplementedError

    async def execute_insert(self, query: str, values: list[Any]) -> Any:
        return await self.guarded(super().execute_insert, query, values)

    async def execute_many(self, query: str, values: list[list[Any]]) -> None:
        await self.guarded(super().execute_many, query, values)

    async def execute_query(
        self, query: str, values: list[Any] | None = None
    ) -> tuple[int, Any]:
        return await self.guarded(super().execute_query, query, values)

    async def execute_query_dict(
        self, query: str, values: list[Any] | None = None
    ) -> list[dict[str, Any]]:
        return await self.guarded(super().execute_query_dict, query, values)

    async def execute_script(self, query: str) -> None:
        await self.guarded(super().execute_script, query)

    async def rows(self, query: str, values: Sequence[Any]) -> Sequence[Any]:
        """The driver's own rows: sequences that know their columns' names, too."""
        _, rows = await self.execute_query(query, list(values))
        return cast("Sequence[Any]", rows)

    async def in_a_crowd(
        self, query: str, batched: str, values: Sequence[Any], order: str
    ) -> None:
        """
        A write that may be sent and committed with others, done or not done by itself.

        :param batched: the same as `query`, but it does not wait long for a lock.
        :param order: what is the same for all who write to the same rows.
        """
        await self.rows(query, values)

    async def few_rows(self, query: str, values: Sequence[Any]) -> Sequence[Any]:
        """As `rows`, of a statement that finds some rows by a key, and is done."""
        return await self.rows(query, values)
