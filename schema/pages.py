"""Connections: https://relay.dev/graphql/connections.htm."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Generic, Self, TypeVar

import strawberry
from tortoise.models import Model

from services.pages import Asked, Page

M = TypeVar("M", bound=Model)
T = TypeVar("T")


First = Annotated[
    int | None,
    strawberry.argument(
        description="So many objects from the beginning of the list, or after `after`:"
        " 1 to 100. Not together with `last`. Where neither is given: 20."
    ),
]
After = Annotated[
    str | None,
    strawberry.argument(
        description="A cursor of this very list and order, e.g. the last page's"
        " `endCursor`: only what comes after it."
    ),
]
Last = Annotated[
    int | None,
    strawberry.argument(
        description="So many objects from the end of the list, or before `before`: 1 to"
        " 100. They still come in the list's order. Not together with `first`."
    ),
]
Before = Annotated[
    str | None,
    strawberry.argument(
        description="A cursor of this very list and order, e.g. a page's"
        " `startCursor`: only what comes before it."
    ),
]


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(
        description="Whether the list goes on after this page."
    )
    has_previous_page: bool = strawberry.field(
        description="Whether the list has anything before this page."
    )
    start_cursor: str | None = strawberry.field(
        description="The first object's cursor, for `before`; null on an empty page."
    )
    end_cursor: str | None = strawberry.field(
        description="The last object's cursor, for `after`; null on an empty page."
    )

    @classmethod
    def of(cls, page: Page[Any]) -> Self:
        cursors = page.cursors
        return cls(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=cursors[0] if cursors else None,
            end_cursor=cursors[-1] if cursors else None,
        )


@strawberry.type(description="An object, and its place in the list.")
class Edge(Generic[T]):
    cursor: str = strawberry.field(
        description="The place, for `after` and `before`. Opaque; good for this list"
        " and order only, and also once the object is gone."
    )
    node: T = strawberry.field(description="The object.")


Count = Callable[[], Awaitable[int]]


async def total_count(root: strawberry.Parent[Connection[T]]) -> int:
    return await root.count()


@strawberry.type(name="Connection", description="One page of a list.")
class Uncounted(Generic[T]):
    """A page of a list that is too long to be counted."""

    edges: list[Edge[T]] = strawberry.field(
        description="The page's objects with their cursors."
    )
    nodes: list[T] = strawberry.field(
        description="The page's objects alone; `pageInfo` has the cursors to go on."
    )
    page_info: PageInfo = strawberry.field(description="Where the page lies.")

    @classmethod
    def of(cls, page: Page[M], show: Callable[[M], T]) -> Self:
        return cls(**_parts(page, show))


@strawberry.type(description="One page of a list.")
class Connection(Generic[T]):
    edges: list[Edge[T]] = strawberry.field(
        description="The page's objects with their cursors."
    )
    nodes: list[T] = strawberry.field(
        description="The page's objects alone; `pageInfo` has the cursors to go on."
    )
    page_info: PageInfo = strawberry.field(description="Where the page lies.")
    total_count: int = strawberry.field(
        resolver=total_count,
        description="How many objects the whole list has, with its filter. Counted only"
        " where asked for.",
    )
    count: strawberry.Private[Count]

    @classmethod
    def of(cls, page: Page[M], show: Callable[[M], T], *, count: Count) -> Self:
        return cls(**_parts(page, show), count=count)


def asked(
    first: int | None, after: str | None, last: int | None, before: str | None
) -> Asked:
    """A list's arguments; what is left out is as good as null."""
    return Asked(_given(first), _given(after), _given(last), _given(before))


def _given(value: T | None) -> T | None:
    return None if value is strawberry.UNSET else value


def _parts(page: Page[M], show: Callable[[M], T]) -> dict[str, Any]:
    nodes = [show(row) for row in page.rows]
    return {
        "nodes": nodes,
        "edges": list(map(_edge, page.cursors, nodes)),
        "page_info": PageInfo.of(page),
    }


def _edge(cursor: str, node: T) -> Edge[T]:
    return Edge(cursor=cursor, node=node)
