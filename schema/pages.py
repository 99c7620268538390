"""Connections: https://relay.dev/graphql/connections.htm."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Annotated, Any, Generic, Self, TypeVar

import strawberry
from tortoise.models import Model

from schema.node import Viewer
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
        description="Whether the list goes on after this page; with `first` and"
        " `before`, whether it does before that cursor."
    )
    has_previous_page: bool = strawberry.field(
        description="Whether the list has anything before this page; with `last` and"
        " `after`, whether it does after that cursor."
    )
    start_cursor: str | None = strawberry.field(
        description="The first object's cursor, for `before`; null on an empty page."
    )
    end_cursor: str | None = strawberry.field(
        description="The last object's cursor, for `after`; null on an empty page."
    )

    @classmethod
    def of(cls, page: Page[Any]) -> Self:
        return cls(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=page.cursor(0),
            end_cursor=page.cursor(-1),
        )


@strawberry.type(description="An object, and its place in the list.")
class Edge(Generic[T]):
    cursor: str = strawberry.field(
        description="The place, for `after` and `before`. Opaque; good for this list"
        " and order only, and also once the object is gone."
    )
    node: T = strawberry.field(description="The object.")


Count = Callable[[], Awaitable[int]]


def edges(root: strawberry.Parent[Any]) -> list[Any]:
    page: Page[Any] = root.page
    return [
        Edge(cursor=cursor, node=node)
        for cursor, node in zip(page.cursors(), root.objects, strict=True)
    ]


def nodes(root: strawberry.Parent[Any]) -> list[Any]:
    objects: list[Any] = root.objects
    return objects


def page_info(root: strawberry.Parent[Any]) -> PageInfo:
    return PageInfo.of(root.page)


async def total_count(root: strawberry.Parent[Connection[T]]) -> int:
    return await root.count()


@strawberry.type(name="Connection", description="One page of a list.")
class Uncounted(Generic[T]):
    """A page of a list that is too long to be counted."""

    edges: list[Edge[T]] = strawberry.field(
        resolver=edges, description="The page's objects with their cursors."
    )
    nodes: list[T] = strawberry.field(
        resolver=nodes,
        description="The page's objects alone; `pageInfo` has the cursors to go on.",
    )
    page_info: PageInfo = strawberry.field(
        resolver=page_info, description="Where the page lies."
    )
    page: strawberry.Private[Page[Any]]
    show: strawberry.Private[Callable[[Any], Any]]

    @classmethod
    def of(cls, page: Page[M], show: Callable[[M], T]) -> Self:
        return cls(page=page, show=show)

    @cached_property
    def objects(self) -> list[T]:
        return [self.show(row) for row in self.page.objects()]


@strawberry.type(description="One page of a list.")
class Connection(Generic[T]):
    edges: list[Edge[T]] = strawberry.field(
        resolver=edges, description="The page's objects with their cursors."
    )
    nodes: list[T] = strawberry.field(
        resolver=nodes,
        description="The page's objects alone; `pageInfo` has the cursors to go on.",
    )
    page_info: PageInfo = strawberry.field(
        resolver=page_info, description="Where the page lies."
    )
    total_count: int = strawberry.field(
        resolver=total_count,
        description="How many objects the whole list has, with its filter. Counted only"
        " where asked for.",
    )
    page: strawberry.Private[Page[Any]]
    show: strawberry.Private[Callable[[Any, Viewer], Any]]
    viewer: strawberry.Private[Viewer]
    count: strawberry.Private[Count]

    @classmethod
    def of(
        cls,
        page: Page[M],
        show: Callable[[M, Viewer], T],
        viewer: Viewer,
        *,
        count: Count,
    ) -> Self:
        return cls(page=page, show=show, viewer=viewer, count=count)

    @cached_property
    def objects(self) -> list[T]:
        """The page's rows as objects; a plan (`hefu/rows.py`) may need none."""
        return [self.show(row, self.viewer) for row in self.page.objects()]


def asked(
    first: int | None, after: str | None, last: int | None, before: str | None
) -> Asked:
    """A list's arguments; what is left out is as good as null."""
    return Asked(_given(first), _given(after), _given(last), _given(before))


def _given(value: T | None) -> T | None:
    return None if value is strawberry.UNSET else value
