"""
Reads that answer many keys with one statement, for the loaders of a request.

Whoever asks has been let in already: these are the ways from one object to the next.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self, TypeVar
from uuid import UUID

from tortoise.models import Model

from models import App, Identity, IdentitySource, Session, database
from models.database import Row
from models.ids import uuid_of
from services import pages
from services.branches import Nested
from services.clock import Clock
from services.pages import Order, Page, Part, Where

M = TypeVar("M", bound=Model)


APPS_OF_SOURCE = Nested(
    App,
    "associations a JOIN apps t ON t.id = a.app_id",
    "a.identity_source_id",
    Order("identity_source.apps"),
)
SOURCES_OF_APP = Nested(
    IdentitySource,
    "associations a JOIN identity_sources t ON t.id = a.identity_source_id",
    "a.app_id",
    Order("app.identity_sources"),
)
SESSIONS_OF_USER = Nested(
    Session, "sessions t", "t.user_id", Order("user.sessions", descending=True)
)


WHOLE = Part()


@dataclass(frozen=True, slots=True)
class PartOf:
    """
    A part of one object's list.

    :param active: of sessions: those that go on, or those that have ended.
    """

    parent: UUID
    part: Part = WHOLE
    active: bool | None = None

    @property
    def whole(self) -> Self:
        """The same for whatever part of the list: what its length is asked by."""
        return replace(self, part=WHOLE)


class Batches:
    """Objects by their ids, and lists by the ids of whose they are."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock

    async def by_id(self, model: type[M], ids: Sequence[UUID]) -> list[M | None]:
        """The objects of these ids, in their order; None where there is none."""
        where = Where()
        rows = await database.look_up(
            f"SELECT {database.columns(model, 't')} FROM {model._meta.db_table} t "
            f"WHERE {among(where, 't.id', ids)}",
            *where.values,
        )
        found = {row.pk: row for row in _read(model, rows)}
        return [found.get(id) for id in ids]

    async def identities_of(self, users: Sequence[UUID]) -> list[list[Identity]]:
        """Each account's identities, oldest first."""
        where = Where()
        rows = await database.look_up(
            f"SELECT {database.columns(Identity, 't')} FROM identities t "
            f"WHERE {among(where, 't.user_id', users)} ORDER BY t.id",
            *where.values,
        )
        found: defaultdict[UUID, list[Identity]] = defaultdict(list)
        for identity in _read(Identity, rows):
            found[identity.user_id].append(identity)
        return [found[user] for user in users]

    async def pages_of(
        self, nested: Nested[M], keys: Sequence[PartOf]
    ) -> list[Page[M]]:
        """A page for each key: one statement for all that ask for the same part."""
        found: dict[PartOf, Page[M]] = {}
        for (part, active), parents in _grouped(keys).items():
            where = self._of(nested, parents, active=active)
            rows = await _ranked(nested, part, where)
            preceded = await _preceded(nested, part, where)
            for parent in parents:
                page = pages.assembled(
                    nested.model,
                    nested.order,
                    part,
                    rows[parent],
                    is_preceded=parent in preceded,
                )
                found[PartOf(parent, part, active)] = page
        return [found[key] for key in keys]

    async def counts_of(self, nested: Nested[M], keys: Sequence[PartOf]) -> list[int]:
        """How long each list is, whatever part of it the key asks for."""
        found: dict[tuple[UUID, bool | None], int] = {}
        wanted: defaultdict[bool | None, list[UUID]] = defaultdict(list)
        for key in keys:
            wanted[key.active].append(key.parent)
        for active, parents in wanted.items():
            where = self._of(nested, parents, active=active)
            rows = await database.fetch(
                f"SELECT {nested.parent} AS parent, COUNT(*) AS number "
                f"FROM {nested.rows} WHERE {where} GROUP BY {nested.parent}",
                *where.values,
            )
            found |= {(uuid_of(row["parent"]), active): row["number"] for row in rows}
        return [found.get((key.parent, key.active), 0) for key in keys]

    def _of(
        self, nested: Nested[M], parents: Sequence[UUID], *, active: bool | None
    ) -> Where:
        where = Where()
        where.conditions.append(among(where, nested.parent, parents))
        return where if active is None else going_on(where, active, self._clock())


def going_on(where: Where, active: bool, now: datetime) -> Where:
    """Only sessions, as `t`, that can be refreshed at `now`; or only all others."""
    if active:
        return where.add("t.revoked_at IS NULL AND t.expires_at > ?", now)
    return where.add("(t.revoked_at IS NOT NULL OR t.expires_at <= ?)", now)


async def _ranked(
    nested: Nested[M], part: Part, where: Where
) -> defaultdict[UUID, list[Any]]:
    """Of each parent, one row more than a page holds, in the part's direction."""
    within = where.copy().add_part(nested.order, part)
    by = nested.order.by(backwards=part.backwards)
    rows = await database.fetch_rows(
        f"SELECT * FROM (SELECT {database.columns(nested.model, 't')}, "
        f"{nested.parent} AS parent, ROW_NUMBER() OVER "
        f"(PARTITION BY {nested.parent} ORDER BY {by}) AS rank "
        f"FROM {nested.rows} WHERE {within}) AS ranked "
        f"WHERE rank <= {part.size + 1} ORDER BY parent, rank",
        *within.values,
    )
    found: defaultdict[UUID, list[Any]] = defaultdict(list)
    for row in rows:
        found[uuid_of(row["parent"])].append(row)
    return found


async def _preceded(nested: Nested[M], part: Part, where: Where) -> set[UUID]:
    """The parents whose lists have anything before the place that `part` begins at."""
    place = part.begins_at
    if place is None:
        return set()
    asked = where.copy()
    beyond = asked.beyond(nested.order, place, backwards=part.backwards)
    rows = await database.fetch(
        f"SELECT DISTINCT {nested.parent} AS parent FROM {nested.rows} "
        f"WHERE {asked} AND {beyond}",
        *asked.values,
    )
    return {uuid_of(row["parent"]) for row in rows}


def _grouped(keys: Sequence[PartOf]) -> dict[tuple[Part, bool | None], list[UUID]]:
    found: defaultdict[tuple[Part, bool | None], list[UUID]] = defaultdict(list)
    for key in keys:
        found[key.part, key.active].append(key.parent)
    return found


def among(where: Where, column: str, ids: Sequence[UUID] | Sequence[str]) -> str:
    """The condition that `column` holds one of `ids`, not added to `where` yet."""
    # One value for all the ids: a text for every length would have the database parse
    # and plan each anew.
    if database.dialect() == "sqlite":
        listed = json.dumps([str(id) for id in ids])
        return where.bound(f"{column} IN (SELECT value FROM json_each(?))", listed)
    return where.bound(f"{column} = ANY(?)", list(ids))


def _read(model: type[M], rows: Sequence[Row]) -> list[M]:
    read = [database.read(model, row, "t") for row in rows]
    return [row for row in read if row is not None]
