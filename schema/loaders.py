"""One statement for all the objects of a level: loaders, made for each request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import partial
from typing import Self, TypeVar
from uuid import UUID

from strawberry.dataloader import DataLoader
from tortoise.models import Model

from models import App, Identity, IdentitySource, Session, User
from services.batches import (
    APPS_OF_SOURCE,
    SESSIONS_OF_USER,
    SOURCES_OF_APP,
    Batches,
    PartOf,
)
from services.branches import Nested
from services.pages import Page

M = TypeVar("M", bound=Model)
K = TypeVar("K")
T = TypeVar("T")


class Loader(DataLoader[K, T]):
    """
    Gives each who waits an answer of their own.

    Strawberry's gives all the same future: where one field's error cuts another field
    short, everybody who waits for the same object would be cut short, and whoever asks
    after that joins a batch that nobody sends.
    """

    def load(self, key: K) -> Awaitable[T]:
        found = super().load(key)
        if isinstance(found, asyncio.Future) and found.done():
            return found
        return asyncio.shield(found)


class ListLoader(Loader[PartOf, Page[M]]):
    """A list that each of many objects has: pages of it, and how long it is."""

    def __init__(self, batches: Batches, nested: Nested[M]) -> None:
        super().__init__(partial(batches.pages_of, nested))
        self.nested = nested
        self.counts = Loader(partial(batches.counts_of, nested))


@dataclass(frozen=True, slots=True)
class Loaders:
    """The ways from the objects of one level to those of the next."""

    user: Loader[UUID, User | None]
    app: Loader[UUID, App | None]
    identity: Loader[UUID, Identity | None]
    identity_source: Loader[UUID, IdentitySource | None]
    identities_of_user: Loader[UUID, list[Identity]]
    sessions_of_user: ListLoader[Session]
    apps_of_source: ListLoader[App]
    sources_of_app: ListLoader[IdentitySource]

    @classmethod
    def open(cls, batches: Batches) -> Self:
        """Loaders for one request: what they remember is as old as that."""
        return cls(
            user=Loader(partial(batches.by_id, User)),
            app=Loader(partial(batches.by_id, App)),
            identity=Loader(partial(batches.by_id, Identity)),
            identity_source=Loader(partial(batches.by_id, IdentitySource)),
            identities_of_user=Loader(batches.identities_of),
            sessions_of_user=ListLoader(batches, SESSIONS_OF_USER),
            apps_of_source=ListLoader(batches, APPS_OF_SOURCE),
            sources_of_app=ListLoader(batches, SOURCES_OF_APP),
        )
