"""Apps, as administrators make and change them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from models import App, Role, database, ids
from models.app import (
    ACCESS_TOKEN_LIFETIME,
    REFRESH_TOKEN_LIFETIME,
    SESSION_LIFETIME,
)
from services import sessions
from services.audit import Audit
from services.callers import Caller
from services.clock import Clock
from services.errors import InputErrorCode, rejected
from services.forms import ABSENT, NOT_FOUND, Absent, Form, camel_case

HOUR = 3600
YEAR = 31_536_000

# Seconds: the least, the most, and what is meant where nothing is said.
LIFETIMES = {
    "access_token_lifetime": (60, HOUR, ACCESS_TOKEN_LIFETIME),
    "refresh_token_lifetime": (HOUR, YEAR, REFRESH_TOKEN_LIFETIME),
    "session_lifetime": (HOUR, YEAR, SESSION_LIFETIME),
}
FLAGS = (
    "enabled",
    "require_state",
    "allow_sign_up",
    "allow_password_sign_in",
    "admin_access",
)

Columns = dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewApp:
    """A lifetime that is null is its default."""

    name: str
    enabled: bool = True
    require_state: bool = True
    allow_sign_up: bool = True
    allow_password_sign_in: bool = False
    admin_access: bool = False
    access_token_lifetime: int | None = None
    refresh_token_lifetime: int | None = None
    session_lifetime: int | None = None


@dataclass(frozen=True, slots=True)
class AppChanges:
    """What is absent stays; a lifetime that is null is its default."""

    name: str | Absent | None = ABSENT
    enabled: bool | Absent | None = ABSENT
    require_state: bool | Absent | None = ABSENT
    allow_sign_up: bool | Absent | None = ABSENT
    allow_password_sign_in: bool | Absent | None = ABSENT
    admin_access: bool | Absent | None = ABSENT
    access_token_lifetime: int | Absent | None = ABSENT
    refresh_token_lifetime: int | Absent | None = ABSENT
    session_lifetime: int | Absent | None = ABSENT


class Apps:
    """Apps as configured. Without an enabled one nobody has a session for it."""

    def __init__(self, *, audit: Audit, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock

    async def create(self, caller: Caller, new: NewApp) -> App:
        """
        :raises InputRejected: with everything that is wrong.
        """
        caller.require(Role.ADMIN)
        form = Form()
        columns = _read(form, new)
        form.check()
        now = self._clock()
        app = App(id=ids.new(), created_at=now, updated_at=now, **columns)
        async with database.transaction():
            await app.save(force_create=True)
            await self._record(caller, "app.created", app, columns)
        return app

    async def update(self, caller: Caller, id: str, changes: AppChanges) -> App:
        """
        Write what differs, and nothing else.

        :raises InputRejected: with everything that is wrong.
        """
        caller.require(Role.ADMIN)
        form = Form()
        key = ids.read(ids.APP, id)
        if not (key and await App.exists(id=key)):
            form.refuse("id", InputErrorCode.NOT_FOUND, NOT_FOUND)
        sent = _read(form, changes)
        form.check()
        async with database.transaction():
            app = await self._locked(key)
            changed = {
                name: value
                for name, value in sent.items()
                if getattr(app, name) != value
            }
            if changed:
                await self._change(caller, app, changed)
        return app

    async def delete(self, caller: Caller, id: str) -> str:
        """
        Delete the app and end its sessions; its associations go with it, by their
        foreign key.

        :returns: the id.
        :raises InputRejected: NOT_FOUND.
        """
        caller.require(Role.ADMIN)
        async with database.transaction():
            app = await self._locked(ids.read(ids.APP, id))
            await sessions.end("app_id", app.id, now=self._clock())
            await app.delete()
            await self._record(caller, "app.deleted", app, ())
        return ids.show(ids.APP, app.id)

    async def _locked(self, id: uuid.UUID | None) -> App:
        """Until the transaction ends nobody else changes it."""
        found = App.select_for_update().get_or_none(id=id) if id else None
        app = await found if found else None
        if app is None:
            raise rejected("id", InputErrorCode.NOT_FOUND, NOT_FOUND)
        return app

    async def _change(self, caller: Caller, app: App, changed: Columns) -> None:
        now = self._clock()
        app.update_from_dict({**changed, "updated_at": now})
        await app.save(update_fields=[*changed, "updated_at"])
        if "enabled" in changed or not app.enabled:
            # Also when it is enabled again: a login may have been under way.
            await sessions.end("app_id", app.id, now=now)
        await self._record(caller, "app.updated", app, changed)

    async def _record(
        self, caller: Caller, action: str, app: App, columns: Iterable[str]
    ) -> None:
        await self._audit.record(
            caller,
            action,
            subject=ids.show(ids.APP, app.id),
            app_id=app.id,
            changed=[camel_case(name) for name in columns if name != "name_key"],
        )


def _read(form: Form, given: NewApp | AppChanges) -> Columns:
    columns: Columns = {}
    if given.name is not ABSENT:
        name = form.line("name", given.name)
        columns |= {"name": name, "name_key": name.casefold()}
    for flag in FLAGS:
        value = getattr(given, flag)
        if value is not ABSENT:
            columns[flag] = form.flag(camel_case(flag), value)
    for lifetime, (least, most, default) in LIFETIMES.items():
        value = getattr(given, lifetime)
        if value is not ABSENT:
            columns[lifetime] = form.number(
                camel_case(lifetime), value, least, most, default=default
            )
    return columns
