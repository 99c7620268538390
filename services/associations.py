"""Which sources serve which apps."""

from __future__ import annotations

from models import App, IdentitySource, Role, database, ids
from services.audit import Audit
from services.callers import Caller
from services.clock import Clock
from services.errors import InputErrorCode, InputRejected
from services.forms import NOT_FOUND, Form

Pair = tuple[App, IdentitySource]

_ASSOCIATE = """
INSERT INTO associations (id, app_id, identity_source_id, created_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT (app_id, identity_source_id) DO NOTHING RETURNING id
"""
_DISSOCIATE = """
DELETE FROM associations WHERE app_id = $1 AND identity_source_id = $2 RETURNING id
"""


class Associations:
    """A source serves the apps that it is associated with, and no other."""

    def __init__(self, *, audit: Audit, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock

    async def associate(self, caller: Caller, app_id: str, source_id: str) -> Pair:
        """
        Let the source serve the app; nothing happens where it does already.

        :raises InputRejected: NOT_FOUND, for each of the two.
        """
        caller.require(Role.ADMIN)
        app, source = await self._pair(app_id, source_id)
        try:
            async with database.transaction():
                made = await database.fetch(
                    _ASSOCIATE, ids.new(), app.id, source.id, self._clock()
                )
                if made:
                    await self._record(caller, "app.associated", app, source)
        except database.Taken:
            # One of the two was deleted meanwhile.
            await self._pair(app_id, source_id)
            raise
        return app, source

    async def dissociate(self, caller: Caller, app_id: str, source_id: str) -> Pair:
        """
        Let the source serve the app no longer; nothing happens where it does not.

        Sessions stay, but one that came through the source cannot refresh meanwhile.

        :raises InputRejected: NOT_FOUND, for each of the two.
        """
        caller.require(Role.ADMIN)
        app, source = await self._pair(app_id, source_id)
        async with database.transaction():
            if await database.fetch(_DISSOCIATE, app.id, source.id):
                await self._record(caller, "app.dissociated", app, source)
        return app, source

    async def _pair(self, app_id: str, source_id: str) -> Pair:
        app_key = ids.read(ids.APP, app_id)
        source_key = ids.read(ids.SOURCE, source_id)
        app = await App.get_or_none(id=app_key) if app_key else None
        source = await IdentitySource.get_or_none(id=source_key) if source_key else None
        if app and source:
            return app, source
        form = Form()
        if app is None:
            form.refuse("appId", InputErrorCode.NOT_FOUND, NOT_FOUND)
        if source is None:
            form.refuse("identitySourceId", InputErrorCode.NOT_FOUND, NOT_FOUND)
        raise InputRejected(form.problems)

    async def _record(
        self, caller: Caller, action: str, app: App, source: IdentitySource
    ) -> None:
        await self._audit.record(
            caller,
            action,
            subject=ids.show(ids.APP, app.id),
            app_id=app.id,
            identity_source_id=source.id,
            corp_id=source.corp_id,
            changed=["identitySources"],
        )
