"""A person's own password: changed by whoever knows it, first set after a login."""

from __future__ import annotations

import uuid

from models import Session, User, database, ids
from services import account_fields, attempts, sessions
from services.attempts import Attempts
from services.audit import Audit
from services.callers import Caller
from services.clock import Clock
from services.errors import (
    InputErrorCode,
    InputRejected,
    Unauthenticated,
    UnauthenticatedReason,
    rejected,
)
from services.forms import REQUIRED, Form
from services.freshness import Freshness
from services.language import Text
from services.passwords import Passwords, busy_at
from services.refusals import RateLimited

BUSY = InputErrorCode.RATE_LIMITED

FAILED = "user.password_change_failed"

WRONG = Text("The current password is wrong.", "当前密码错误。")


class PasswordChanges:
    """Changes the password of the person who asks."""

    def __init__(
        self,
        *,
        audit: Audit,
        clock: Clock,
        passwords: Passwords,
        attempts: Attempts,
        freshness: Freshness,
    ) -> None:
        self._audit = audit
        self._clock = clock
        self._passwords = passwords
        self._attempts = attempts
        self._freshness = freshness

    async def change(self, caller: Caller, current: str | None, new: str) -> User:
        """
        Change the caller's own password and end their other sessions.

        :param current: what it was; a first password needs a recent login instead.
        :raises Unauthenticated: REAUTHENTICATE: the login is not recent enough;
            REVOKED: the session was ended meanwhile.
        :raises InputRejected: INVALID_CREDENTIALS, RATE_LIMITED, or what is wrong with
            the new one.
        """
        person, session = caller.person()
        user = await User.get_or_none(id=person.id)
        if user is None:
            raise Unauthenticated(UnauthenticatedReason.REVOKED)
        known = user.password_hash
        if known is None:
            await self._freshness.check(caller, FAILED)
        form = Form()
        if known is not None:
            await self._check(caller, form, user, current)
        try:
            hash = await self._passwords.hash_good(
                form, "newPassword", new, unlike=account_fields.names(user)
            )
        except InputRejected as rejected:
            if any(each.code is BUSY for each in rejected.problems):
                await self._refused(caller, BUSY, "passwords.busy")
            raise
        try:
            return await self._write(caller, session, user.id, known, hash)
        except InputRejected:
            code = InputErrorCode.INVALID_CREDENTIALS
            await self._refused(caller, code, "password.changed_meanwhile")
            raise

    async def _write(
        self,
        caller: Caller,
        session: Session,
        id: uuid.UUID,
        known: str | None,
        hash: str | None,
    ) -> User:
        """
        :raises InputRejected: it is not the one that was `known` any more.
        """
        async with database.transaction():
            user = await self._unchanged(id, known)
            await sessions.must_go_on(session, now=self._clock())
            user.password_hash = hash
            user.updated_at = self._clock()
            await user.save(update_fields=["password_hash", "updated_at"])
            await self._end_others(caller, user, session.id)
        return user

    async def _check(
        self, caller: Caller, form: Form, user: User, current: str | None
    ) -> None:
        """Refuse a current password that is wrong, and count it as a guess."""
        if current is None:
            form.refuse("currentPassword", InputErrorCode.REQUIRED, REQUIRED)
            return
        with busy_at("currentPassword"):
            if await self._is_right(caller, user, current):
                return
        form.problems.extend(_wrong().problems)
        code = InputErrorCode.INVALID_CREDENTIALS
        await self._refused(caller, code, "password.wrong")

    async def _is_right(self, caller: Caller, user: User, password: str) -> bool:
        key = attempts.account_key(user, "")
        try:
            attempt = await self._attempts.begin(key, caller.origin.ip_address)
        except RateLimited as limited:
            await self._refused(caller, BUSY, limited.rule)
            raise
        try:
            right = await self._passwords.verify(user.password_hash, password)
        except RateLimited as busy:
            # The queue is full: nobody looked at the password.
            await self._attempts.succeeded(attempt)
            await self._refused(caller, BUSY, busy.rule)
            raise
        if right:
            await self._attempts.succeeded(attempt)
        return right

    async def _unchanged(self, id: uuid.UUID, known: str | None) -> User:
        """Of two who change one password at once, the second one must know the new."""
        user = await User.select_for_update().get_or_none(id=id)
        if user is None:
            raise Unauthenticated(UnauthenticatedReason.REVOKED)
        if user.password_hash != known:
            raise _wrong()
        return user

    async def _end_others(self, caller: Caller, user: User, kept: uuid.UUID) -> None:
        for ended in await sessions.end_others(user.id, kept, now=self._clock()):
            facts = ended.facts(rule="password.changed")
            await self._audit.record(caller, "session.revoked", **facts)
        await self._audit.record(
            caller,
            "user.password_changed",
            subject=ids.show(ids.USER, user.id),
            changed=["password"],
        )

    async def _refused(
        self, caller: Caller, code: InputErrorCode, rule: str | None
    ) -> None:
        await self._audit.fold(caller, FAILED, failure=code, rule=rule)


def _wrong() -> InputRejected:
    return rejected("currentPassword", InputErrorCode.INVALID_CREDENTIALS, WRONG)
