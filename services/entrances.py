"""Where a login comes in: an app, and a source that serves it."""

from __future__ import annotations

import asyncio
import functools
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from models import App, Association, IdentitySource, database, ids
from models.fields import holds
from models.gathered import Gathered
from services.refusals import AppUnavailable, SourceUnavailable


@dataclass(frozen=True, slots=True)
class Entrance:
    """An app and a source, both enabled and associated when they were looked up."""

    app: App
    source: IdentitySource


_FIND = """
SELECT {app}, {source}, {association}
FROM apps app
LEFT JOIN identity_sources source ON source.{key} = $2
LEFT JOIN associations association
    ON association.app_id = app.id AND association.identity_source_id = source.id
WHERE app.id = $1
"""


# What a source is found by, the app's id, the source's identifier or id.
_Key = tuple[str, uuid.UUID, str | uuid.UUID]
_LookUp = Callable[[_Key], Awaitable[Any | None]]


async def _row(key: _Key) -> Any | None:
    by, app_id, source_key = key
    return await database.look_up_one(_sql(by), app_id, source_key)


async def by_identifier(
    app_id: str, identifier: str, look_up: _LookUp = _row
) -> Entrance:
    """
    The entrance that a mobile app names, in one statement.

    :raises AppUnavailable: the app is unknown or disabled.
    :raises SourceUnavailable: the source is unknown, disabled or not associated with
        the app: one answer, and the rule in the audit event tells which.
    """
    known = identifier if holds(IdentitySource, "identifier", identifier) else ""
    return await _find("identifier", app_id, known, look_up)


async def by_ids(
    app_id: str, source_id: uuid.UUID, look_up: _LookUp = _row
) -> Entrance:
    """
    The entrance of something that began there earlier: a ticket, a session.

    :raises AppUnavailable: the app is gone or disabled.
    :raises SourceUnavailable: the source is gone, disabled or no longer associated.
    """
    return await _find("id", app_id, source_id, look_up)


async def enabled_app(app_id: str) -> App:
    """
    :raises AppUnavailable: the app is unknown or disabled.
    """
    id = ids.read(ids.APP, app_id)
    app = await App.get_or_none(id=id) if id else None
    if app is None:
        raise AppUnavailable("app.unknown")
    if not app.enabled:
        raise AppUnavailable("app.disabled")
    return app


class Entrances:
    """
    As the functions above, where requests come in crowds: those of one moment that
    come in by the same entrance look for it by one statement.

    Not for use within a transaction: that statement is outside of it.
    """

    def __init__(self) -> None:
        self._rows: Gathered[_Key, Any] = Gathered(_load)

    async def by_identifier(self, app_id: str, identifier: str) -> Entrance:
        return await by_identifier(app_id, identifier, self._rows.get)

    async def by_ids(self, app_id: str, source_id: uuid.UUID) -> Entrance:
        return await by_ids(app_id, source_id, self._rows.get)


async def _load(keys: Sequence[_Key]) -> dict[_Key, Any]:
    if len(keys) == 1:
        return {keys[0]: await _row(keys[0])}
    rows = await asyncio.gather(*map(_row, keys))
    return dict(zip(keys, rows, strict=True))


async def _find(
    by: str,
    app_id: str,
    source_key: str | uuid.UUID,
    look_up: _LookUp,
) -> Entrance:
    id = ids.read(ids.APP, app_id)
    if id is None:
        raise AppUnavailable("app.unknown")
    row = await look_up((by, id, source_key))
    # Each request reads objects of its own, which it may change.
    app = database.read(App, row, "app") if row else None
    if row is None or app is None:
        raise AppUnavailable("app.unknown")
    if not app.enabled:
        raise AppUnavailable("app.disabled")
    source = database.read(IdentitySource, row, "source")
    if source is None:
        raise SourceUnavailable("source.unknown")
    if not source.enabled:
        raise SourceUnavailable("source.disabled")
    if database.read(Association, row, "association") is None:
        raise SourceUnavailable("source.not_associated")
    return Entrance(app, source)


@functools.cache
def _sql(key: str) -> str:
    return _FIND.format(
        key=key,
        app=database.columns(App, "app"),
        source=database.columns(IdentitySource, "source"),
        association=database.columns(Association, "association"),
    )
