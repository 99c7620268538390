"""One statement for all the objects of a level: loaders, made for each request."""

from __future__ import annotations

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


class ListLoader(DataLoader[PartOf, Page[M]]):
    """A list that each of many objects has: pages of it, and how long it is."""

    def __init__(self, batches: Batches, nested: Nested[M]) -> None:
        super().__init__(partial(batches.pages_of, nested))
        self.nested = nested
        self.counts = DataLoader(partial(batches.counts_of, nested))


@dataclass(frozen=True, slots=True)
class Loaders:
    """The ways from the objects of one level to those of the next."""

    user: DataLoader[UUID, User | None]
    app: DataLoader[UUID, App | None]
    identity: DataLoader[UUID, Identity | None]
    identity_source: DataLoader[UUID, IdentitySource | None]
    identities_of_user: DataLoader[UUID, list[Identity]]
    sessions_of_user: ListLoader[Session]
    apps_of_source: ListLoader[App]
    sources_of_app: ListLoader[IdentitySource]

    @classmethod
    def open(cls, batches: Batches) -> Self:
        """Loaders for one request: what they remember is as old as that."""
        return cls(
            user=DataLoader(partial(batches.by_id, User)),
            app=DataLoader(partial(batches.by_id, App)),
            identity=DataLoader(partial(batches.by_id, Identity)),
            identity_source=DataLoader(partial(batches.by_id, IdentitySource)),
            identities_of_user=DataLoader(batches.identities_of),
            sessions_of_user=ListLoader(batches, SESSIONS_OF_USER),
            apps_of_source=ListLoader(batches, APPS_OF_SOURCE),
            sources_of_app=ListLoader(batches, SOURCES_OF_APP),
        )
