"""Every list of the admin API: what it is ordered and filtered by, on which index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar
from uuid import UUID

from tortoise.models import Model

from models import (
    App,
    AuditEvent,
    IdentitySource,
    Role,
    User,
    UserStatus,
    ids,
)
from models.fields import is_storable
from services import pages
from services.branches import Wanted
from services.callers import Caller
from services.pages import ID, Asked, Key, Order, OrderDirection, Page, Where
from services.refusals import LoginFailureCode

M = TypeVar("M", bound=Model)

# The last code point: what has no name is listed after everything that has one.
LAST = "\U0010ffff"

# Of names as they are compared: nothing longer is part of one.
LONGEST_NAME = 192


class IdentitySourceOrderField(StrEnum):
    CREATED_AT = "CREATED_AT"
    IDENTIFIER = "IDENTIFIER"
    DISPLAY_NAME = "DISPLAY_NAME"


class AppOrderField(StrEnum):
    CREATED_AT = "CREATED_AT"
    NAME = "NAME"


class UserOrderField(StrEnum):
    CREATED_AT = "CREATED_AT"
    LAST_LOGIN_AT = "LAST_LOGIN_AT"
    USERNAME = "USERNAME"


# Ids are UUIDv7: they sort by creation.
SOURCE_ORDERS = {
    IdentitySourceOrderField.CREATED_AT: Order("identity_sources"),
    IdentitySourceOrderField.IDENTIFIER: Order(
        "identity_sources.identifier", (Key("identifier"),)
    ),
    IdentitySourceOrderField.DISPLAY_NAME: Order(
        "identity_sources.display_name", (Key("display_name_key"), ID)
    ),
}
APP_ORDERS = {
    AppOrderField.CREATED_AT: Order("apps"),
    AppOrderField.NAME: Order("apps.name", (Key("name_key"), ID)),
}
USER_ORDERS = {
    UserOrderField.CREATED_AT: Order("users"),
    UserOrderField.LAST_LOGIN_AT: Order(
        "users.last_login", (Key("last_login_hour", datetime), ID)
    ),
    UserOrderField.USERNAME: Order(
        "users.username",
        (Key("username_order", field="username_key", stand_in=LAST), ID),
    ),
}
EVENT_ORDER = Order("audit_events", (Key("occurred_at", datetime), ID), descending=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFilter:
    search: str | None = None
    enabled: bool | None = None
    corp_id: str | None = None
    app_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppFilter:
    search: str | None = None
    enabled: bool | None = None
    identity_source_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFilter:
    search: str | None = None
    status: UserStatus | None = None
    role: Role | None = None
    identity_source_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    action: str | None = None
    actor_id: str | None = None
    subject_id: str | None = None
    identity_source_id: str | None = None
    app_id: str | None = None
    failure: LoginFailureCode | None = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Listed(Generic[M]):
    """A page, and what it is a page of."""

    page: Page[M]
    _model: type[M]
    _where: Where

    async def count(self) -> int:
        """How many the whole list has."""
        return await pages.count(self._model, self._where)


class Lists:
    """
    What administrators look through.

    `wanted` is what somebody will look at: nothing else is read.
    """

    async def identity_sources(
        self,
        caller: Caller,
        asked: Asked,
        filter: SourceFilter,
        field: IdentitySourceOrderField = IdentitySourceOrderField.CREATED_AT,
        direction: OrderDirection = OrderDirection.ASC,
        *,
        wanted: Wanted | None = None,
    ) -> Listed[IdentitySource]:
        caller.require(Role.VIEWER)
        where = Where()
        if search := _sought(filter.search):
            _containing(where, ("identifier", "display_name_key"), search)
        if filter.enabled is not None:
            where.add("t.enabled = ?", filter.enabled)
        if filter.corp_id is not None:
            _equal(where, "corp_id", filter.corp_id)
        if filter.app_id is not None:
            _related(where, _ASSOCIATED_APP, ids.read(ids.APP, filter.app_id))
        order = SOURCE_ORDERS[field].towards(direction)
        return await _list(IdentitySource, order, asked, where, wanted)

    async def apps(
        self,
        caller: Caller,
        asked: Asked,
        filter: AppFilter,
        field: AppOrderField = AppOrderField.CREATED_AT,
        direction: OrderDirection = OrderDirection.ASC,
        *,
        wanted: Wanted | None = None,
    ) -> Listed[App]:
        caller.require(Role.VIEWER)
        where = Where()
        if search := _sought(filter.search):
            _containing(where, ("name_key",), search)
        if filter.enabled is not None:
            where.add("t.enabled = ?", filter.enabled)
        if filter.identity_source_id is not None:
            source_id = ids.read(ids.SOURCE, filter.identity_source_id)
            _related(where, _ASSOCIATED_SOURCE, source_id)
        order = APP_ORDERS[field].towards(direction)
        return await _list(App, order, asked, where, wanted)

    async def users(
        self,
        caller: Caller,
        asked: Asked,
        filter: UserFilter,
        field: UserOrderField = UserOrderField.CREATED_AT,
        direction: OrderDirection = OrderDirection.ASC,
        *,
        wanted: Wanted | None = None,
    ) -> Listed[User]:
        caller.require(Role.VIEWER)
        where = Where()
        if search := _sought(filter.search):
            _beginning(where, search)
        if filter.status is not None:
            where.add("t.status = ?", filter.status)
        if filter.role is not None:
            where.add("t.role = ?", filter.role)
        if filter.identity_source_id is not None:
            source_id = ids.read(ids.SOURCE, filter.identity_source_id)
            _related(where, _LINKED_SOURCE, source_id)
        order = USER_ORDERS[field].towards(direction)
        return await _list(User, order, asked, where, wanted)

    async def audit_events(
        self,
        caller: Caller,
        asked: Asked,
        filter: EventFilter,
    ) -> Listed[AuditEvent]:
        """Newest first. `since` is the first moment, `until` the first one after."""
        caller.require(Role.VIEWER)
        where = Where()
        for column in ("action", "actor_id", "subject_id", "failure", "request_id"):
            value = getattr(filter, column)
            if value is not None:
                _equal(where, column, value)
        if filter.identity_source_id is not None:
            source_id = ids.read(ids.SOURCE, filter.identity_source_id)
            _related(where, "t.identity_source_id = ?", source_id)
        if filter.app_id is not None:
            _related(where, "t.app_id = ?", ids.read(ids.APP, filter.app_id))
        # Of two bounds on one side SQLite begins at whichever comes first: behind a
        # cursor that would be the filter's, and every page slower than the one before.
        if filter.since is not None:
            column = _OCCURRED if asked.before is None else _OCCURRED_UNINDEXED
            where.add(f"{column} >= ?", filter.since)
        if filter.until is not None:
            column = _OCCURRED if asked.after is None else _OCCURRED_UNINDEXED
            where.add(f"{column} < ?", filter.until)
        return await _list(AuditEvent, EVENT_ORDER, asked, where)


_OCCURRED = "t.occurred_at"
_OCCURRED_UNINDEXED = "COALESCE(t.occurred_at, t.occurred_at)"
_ASSOCIATED_APP = (
    "t.id IN (SELECT a.identity_source_id FROM associations a WHERE a.app_id = ?)"
)
_ASSOCIATED_SOURCE = (
    "t.id IN (SELECT a.app_id FROM associations a WHERE a.identity_source_id = ?)"
)
_LINKED_SOURCE = (
    "t.id IN (SELECT i.user_id FROM identities i WHERE i.identity_source_id = ?)"
)
# Each by its own index; an OR over five columns would be none.
_NAMED = " UNION ALL ".join(
    f"SELECT id FROM users WHERE {column} >= ? AND {column} < ?"
    for column in (
        "username_key",
        "display_name_key",
        "email_key",
        "phone",
        "external_id_key",
    )
)


async def _list(
    model: type[M],
    order: Order,
    asked: Asked,
    where: Where,
    wanted: Wanted | None = None,
) -> Listed[M]:
    page = await pages.page(model, order, asked.of(order), where, wanted)
    return Listed(page, model, where)


def _equal(where: Where, column: str, value: str) -> None:
    _related(where, f"t.{column} = ?", value if is_storable(value) else None)


def _related(where: Where, condition: str, value: UUID | str | None) -> None:
    """What cannot exist is found nowhere."""
    if value is None:
        where.add("FALSE")
        return
    where.add(condition, value)


def _sought(text: str | None) -> str | None:
    """As names are compared; None where nothing is left to look for."""
    return text.strip().casefold() or None if text else None


def _containing(where: Where, columns: Sequence[str], part: str) -> None:
    # SQLite refuses a pattern of more than 50,000 bytes.
    if len(part) > LONGEST_NAME or not is_storable(part):
        where.add("FALSE")
        return
    for sign in "\\%_":
        part = part.replace(sign, f"\\{sign}")
    likes = " OR ".join(f"t.{column} LIKE ? ESCAPE '\\'" for column in columns)
    where.add(f"({likes})", *[f"%{part}%"] * len(columns))


def _beginning(where: Where, start: str) -> None:
    """
    Accounts of which some name begins with `start`.

    A range says so where LIKE would not use an index: everything from the text itself
    to what follows the last string that begins with it.
    """
    if not is_storable(start):
        where.add("FALSE")
        return
    end = start + LAST
    where.add(f"t.id IN ({_NAMED})", *[start, end] * 5)
