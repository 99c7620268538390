"""
What happened, for whoever must find out later.

An event that tells of a change is written in the change's own transaction; one that
tells of a refusal is written outside of any, or it would be lost with what it tells of.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict

from typing_extensions import Unpack

from models import (
    AuditActorType,
    AuditEvent,
    User,
    database,
    digests,
    ids,
    rows,
)
from services.callers import Caller
from services.clock import Clock
from services.refusals import Refusal

# Equal refusals of one address share an event for so long.
FOLDING = timedelta(minutes=1)

_FOLD = """
INSERT INTO folded_refusals (digest, event_id, started_at) VALUES ($1, $2, $3)
ON CONFLICT (digest) DO UPDATE SET
    event_id = CASE WHEN folded_refusals.started_at <= $4
        THEN excluded.event_id ELSE folded_refusals.event_id END,
    started_at = CASE WHEN folded_refusals.started_at <= $4
        THEN excluded.started_at ELSE folded_refusals.started_at END
RETURNING event_id
"""

_COUNT = "UPDATE audit_events SET count = count + 1 WHERE id = $1 RETURNING request_id"


@dataclass(slots=True)
class Trail:
    """
    What is known of a login as it goes on, for the event that tells how it ended.

    `folded` as long as a refusal costs its caller nothing: before WeCom is asked.
    """

    action: str = "login.failed"
    app_id: uuid.UUID | None = None
    identity_source_id: uuid.UUID | None = None
    corp_id: str | None = None
    wecom_user_id: str | None = None
    subject: str | None = None
    folded: bool = True


class Known(TypedDict, total=False):
    """What may be known of an event: see `Audit.event`."""

    subject: str | None
    app_id: uuid.UUID | None
    identity_source_id: uuid.UUID | None
    failure: str | None
    wecom_error_code: int | None
    rule: str | None
    changed: Sequence[str]
    corp_id: str | None
    wecom_user_id: str | None
    by: User | None
    by_system: bool


class Audit:
    """The log of who did what, and of every login's outcome."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock

    async def record(self, caller: Caller, action: str, **facts: Unpack[Known]) -> None:
        """Write one event, by itself or in the caller's transaction; see `event`."""
        await self.event(caller, action, **facts).save(force_create=True)

    def event(
        self,
        caller: Caller,
        action: str,
        *,
        subject: str | None = None,
        app_id: uuid.UUID | None = None,
        identity_source_id: uuid.UUID | None = None,
        failure: str | None = None,
        wecom_error_code: int | None = None,
        rule: str | None = None,
        changed: Sequence[str] = (),
        corp_id: str | None = None,
        wecom_user_id: str | None = None,
        by: User | None = None,
        by_system: bool = False,
    ) -> AuditEvent:
        """
        An event, to be written with what it tells of.

        :param subject: the TypeID of what was changed or logged in.
        :param changed: names of fields in camelCase, never their values.
        :param by: whoever the request turned out to be from: who has just logged in.
        :param by_system: nobody asked for it: a rule or the passing of time did.
        """
        actor = Caller(caller.origin, user=by) if by else caller
        return rows.new(
            AuditEvent,
            id=ids.new(),
            occurred_at=self._clock(),
            action=action,
            actor_type=AuditActorType.SYSTEM if by_system else actor.actor_type,
            actor_id=None if by_system else actor.actor_id,
            actor_name=None if by_system else actor.actor_name,
            subject_id=subject,
            app_id=app_id,
            identity_source_id=identity_source_id,
            failure=failure,
            wecom_error_code=wecom_error_code,
            rule=rule,
            changed_fields=",".join(changed),
            corp_id=corp_id,
            wecom_user_id=wecom_user_id,
            ip_address=caller.origin.ip_address,
            request_id=caller.origin.request_id,
        )

    @asynccontextmanager
    async def refusals(self, caller: Caller, trail: Trail) -> AsyncGenerator[None]:
        """Write the event of a refusal that leaves the block, and let it pass."""
        try:
            yield
        except Refusal as refusal:
            refusal.request_id = await self._refused(caller, trail, refusal)
            raise

    async def _refused(self, caller: Caller, trail: Trail, refusal: Refusal) -> str:
        if trail.folded:
            return await self.fold(
                caller,
                trail.action,
                failure=refusal.code,
                rule=refusal.rule,
                app_id=trail.app_id,
                identity_source_id=trail.identity_source_id,
            )
        await self.record(
            caller,
            trail.action,
            subject=trail.subject,
            app_id=trail.app_id,
            identity_source_id=trail.identity_source_id,
            failure=refusal.code,
            wecom_error_code=refusal.wecom_error_code,
            rule=refusal.rule,
            corp_id=trail.corp_id,
            wecom_user_id=trail.wecom_user_id,
        )
        return caller.origin.request_id

    async def fold(
        self,
        caller: Caller,
        action: str,
        *,
        rule: str | None,
        failure: str | None = None,
        app_id: uuid.UUID | None = None,
        identity_source_id: uuid.UUID | None = None,
    ) -> str:
        """
        Write a refusal that costs its caller nothing, at most once a minute.

        Somebody who sends ten thousand bad requests must not fill the disk with them:
        equal ones of one person and address within a minute share an event with a
        count.

        :returns: the request id of the event that tells of it.
        """
        now = self._clock()
        origin = caller.origin
        whose = caller.actor_id, origin.ip_address
        equal = (action, failure, rule, app_id, identity_source_id, *whose)
        digest = digests.of(*map(str, equal))
        mine = ids.new()
        async with database.transaction():
            row = await database.fetch_one(_FOLD, digest, mine, now, now - FOLDING)
            if row and str(row["event_id"]) != str(mine):
                counted = await database.fetch_one(_COUNT, str(row["event_id"]))
                if counted:
                    return str(counted["request_id"])
            await AuditEvent(
                id=mine,
                occurred_at=now,
                action=action,
                actor_type=caller.actor_type,
                actor_id=caller.actor_id,
                actor_name=caller.actor_name,
                app_id=app_id,
                identity_source_id=identity_source_id,
                failure=failure,
                rule=rule,
                ip_address=origin.ip_address,
                request_id=origin.request_id,
            ).save(force_create=True)
        return origin.request_id

    async def prune(self, before: datetime, *, limit: int) -> int:
        """Delete at most `limit` of the events that happened before `before`."""
        rows = await database.fetch(
            "DELETE FROM audit_events WHERE id IN (SELECT id FROM audit_events "
            "WHERE occurred_at < $1 ORDER BY occurred_at LIMIT $2) RETURNING id",
            before,
            limit,
        )
        return len(rows)

    async def prune_folded(self, *, limit: int) -> int:
        """Delete at most `limit` notes of what is counted where, a minute on."""
        rows = await database.fetch(
            "DELETE FROM folded_refusals WHERE digest IN (SELECT digest "
            "FROM folded_refusals WHERE started_at < $1 LIMIT $2) RETURNING digest",
            self._clock() - FOLDING,
            limit,
        )
        return len(rows)
