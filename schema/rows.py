"""
How a list shows its rows, for plans (`hefu/rows.py`), which make no object of a row.

A page of fifty sources with three apps each would be 200 models and 200 objects of the
schema with 3,200 values, of which somebody asks for 450. Here stands once more what the
`of` of each type says, column by column; `tests/hefu/test_plans.py` holds the two to
one another. A type that is not here is shown by its objects.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Any
from uuid import UUID

from tortoise.models import Model

import models
from models import ids
from models.arrays import Columns
from schema.app import App
from schema.context import Context
from schema.identity_source import (
    AccountAssociation,
    IdentitySourceProblem,
    WecomMobileIdentitySource,
)
from schema.loaders import ListLoader, Loaders
from schema.node import Viewer
from schema.pages import Connection
from schema.user import User
from services import pages
from services.batches import PartOf
from services.branches import Branch
from services.pages import Page


@dataclass(frozen=True, slots=True)
class Made:
    """A field that is more than its column: `make` is given the columns' values."""

    columns: tuple[str, ...]
    make: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Below:
    """A list that each row has; for administrators only."""

    loader: Callable[[Loaders], ListLoader[Any]]
    show: Callable[[Any, Viewer], Any]

    def connections(
        self,
        context: Context,
        branch: Branch[Any],
        parents: Sequence[UUID],
        read: Columns,
        viewer: Viewer,
    ) -> list[Connection[Any]]:
        """Everybody's page as an object, for what is more than its rows."""
        loader = self.loader(context.loaders)
        return [
            Connection.of(
                _page(branch, columns),
                self.show,
                viewer,
                count=partial(_count, loader, PartOf(parent)),
            )
            for parent, columns in zip(parents, zip(*read, strict=True), strict=True)
        ]


def _page(branch: Branch[Any], columns: Sequence[Sequence[Any]]) -> Page[Any]:
    nested = branch.nested
    rows = zip(*columns, strict=True)
    named = [dict(zip(branch.names, row, strict=True)) for row in rows]
    return pages.assembled(nested.model, nested.order, branch.part, named)


def _count(loader: ListLoader[Any], key: PartOf) -> Awaitable[int]:
    return loader.counts.load(key)


@dataclass(frozen=True, slots=True)
class Shown:
    """
    A type whose fields are a model's columns of the same name, but for these.

    :param prefix: of its ids.
    """

    model: type[Model]
    prefix: str
    made: Mapping[str, Made] = field(default_factory=dict[str, Made])
    lists: Mapping[str, Below] = field(default_factory=dict[str, Below])


def is_set(value: object) -> bool:
    return value is not None


SHOWN: Mapping[type, Shown] = {
    App: Shown(
        models.App,
        ids.APP,
        lists={
            "identity_sources": Below(
                attrgetter("sources_of_app"), WecomMobileIdentitySource.of
            )
        },
    ),
    WecomMobileIdentitySource: Shown(
        models.IdentitySource,
        ids.SOURCE,
        made={
            "account_association": Made(
                (
                    "association_mode",
                    "match_fields",
                    "binding_methods",
                    "match_across_corps",
                ),
                AccountAssociation.told,
            ),
            "problem": Made(
                ("problem_code", "problem_since", "problem_address"),
                IdentitySourceProblem.told,
            ),
        },
        lists={"apps": Below(attrgetter("apps_of_source"), App.of)},
    ),
    User: Shown(
        models.User,
        ids.USER,
        made={
            "email_verified": Made(("verified_email",), is_set),
            "phone_verified": Made(("verified_phone",), is_set),
            "has_password": Made(("password_hash",), is_set),
        },
    ),
}
