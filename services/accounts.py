"""Accounts: made, changed and deleted by administrators, found by whoever logs in."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from tortoise.expressions import Q

from models import BindingMethod, MatchField, Role, User, UserStatus, database, ids
from models.fields import holds
from services import (
    account_fields,
    owners,
    phones,
    privileges,
    sessions,
    sign_in_names,
)
from services.account_fields import AccountChanges, NewAccount, Values
from services.audit import Audit
from services.callers import Caller, Origin
from services.clock import Clock
from services.errors import (
    InputErrorCode,
    rejected,
)
from services.forms import (
    ABSENT,
    NOT_FOUND,
    REQUIRED,
    Absent,
    Form,
    camel_case,
    is_printable,
    visible,
)
from services.language import Text
from services.passwords import Passwords
from services.refusals import RateLimited

# How often somebody may be faster with the same name before something else is wrong.
TRIES = 5

NEVER = datetime(1970, 1, 1, tzinfo=UTC)

OWNERS_ONLY = Text("Only an owner may give this role.", "只有所有者可以授予此角色。")


class Accounts:
    """
    Accounts as stored.

    Two that want one name at once meet at a unique index: whoever comes second looks
    again, and is told what is taken.
    """

    def __init__(self, *, audit: Audit, clock: Clock, passwords: Passwords) -> None:
        self._audit = audit
        self._clock = clock
        self._passwords = passwords

    async def create(self, caller: Caller, new: NewAccount) -> User:
        """
        :raises InputRejected: with everything that is wrong.
        """
        caller.require(Role.ADMIN)
        return await self._create(caller, new)

    async def create_owner(self, username: str, password: str) -> User:
        """
        For whoever has a shell on this machine, and so may change the database anyway.

        :raises InputRejected: with everything that is wrong.
        """
        console = Caller(
            Origin(request_id=ids.new().hex, ip_address="127.0.0.1"), role=Role.OWNER
        )
        new = NewAccount(username=username, password=password, role=Role.OWNER)
        return await self._create(console, new, by_system=True)

    def new_for_member(self, display_name: str) -> User:
        """
        The account of a first login, to be written; but for a name it is empty.

        What WeCom tells stays in the identity's profile until somebody verifies it.
        """
        shown = visible(display_name)
        return self._new(
            display_name=shown or None, display_name_key=shown.casefold() or None
        )

    async def update(self, caller: Caller, id: str, changes: AccountChanges) -> User:
        """
        Write what differs, and nothing else. A disabled account has no sessions.

        :raises InputRejected: with everything that is wrong.
        """
        caller.require(Role.ADMIN)
        for _ in range(TRIES):
            with suppress(database.Taken):
                async with database.transaction():
                    return await self._update(caller, id, changes)
        raise database.DatabaseUnavailable

    async def set_password(
        self, caller: Caller, id: str, password: str | Absent | None = ABSENT
    ) -> User:
        """
        Set somebody's password, or take it away, and end all of their sessions.

        :param password: None takes it away; a client that forgot it does not mean that.
        :raises InputRejected: NOT_FOUND, FORBIDDEN, RATE_LIMITED, or what is wrong with
            the password.
        """
        caller.require(Role.ADMIN)
        key = ids.read(ids.USER, id)
        user = _may_change(caller, await User.get_or_none(id=key) if key else None)
        if password is ABSENT:
            raise rejected("password", InputErrorCode.REQUIRED, REQUIRED)
        hash = await self._passwords.hash_good(
            Form(), "password", password, unlike=account_fields.names(user)
        )
        async with database.transaction():
            user = await self._locked(caller, id)
            if caller.session is not None:
                # A hash takes its time, and the administrator's may be over.
                await sessions.must_go_on(caller.session, now=self._clock())
            await self._write(user, password_hash=hash)
            await self._end_sessions(caller, user, "password.set")
            await self._record(caller, "user.password_set", user, ["password"])
        return user

    async def delete(self, caller: Caller, id: str) -> str:
        """
        Delete the account with its identities and sessions.

        :returns: the id.
        :raises InputRejected: NOT_FOUND, FORBIDDEN or LAST_OWNER.
        """
        caller.require(Role.ADMIN)
        async with database.transaction():
            user = await self._locked(caller, id)
            await user.delete()
            await self._record(caller, "user.deleted", user, ())
            if _is_active_owner(user):
                await owners.keep_one("id", now=self._clock())
        return ids.show(ids.USER, user.id)

    async def find_for_sign_in(self, text: str) -> tuple[User | None, str]:
        """
        Whom a username, a verified e-mail or a verified phone names.

        Digits alone may be one account's username and another's phone number: then it
        is the username, and +86 before the digits the phone.

        :returns: the account, and what was typed in the spelling to count guesses by.
        """
        found = await _find(sign_in_names.sought(text))
        return found, sign_in_names.compared(text)

    async def find_for_binding(
        self, method: BindingMethod, text: str
    ) -> tuple[User | None, str]:
        """As `find_for_sign_in`, but only by what `method` accepts."""
        found = await _find(sign_in_names.sought(text, method))
        return found, sign_in_names.compared(text)

    async def candidates(
        self,
        fields: Iterable[MatchField],
        *,
        emails: Iterable[str] = (),
        phone: str | None = None,
        userid: str | None = None,
    ) -> list[User]:
        """
        Every account that one of `fields` matches, once each, in one statement.

        :param emails: what WeCom tells; compared with verified addresses only, as is
        :param phone: in any spelling.
        """
        told = {
            MatchField.EMAIL: _each("verified_email", map(str.casefold, emails)),
            MatchField.PHONE: _each("verified_phone", [phones.normalise(phone)]),
            MatchField.USERNAME: _each("username_key", [_folded(userid)]),
            MatchField.EXTERNAL_ID: _each("external_id_key", [_folded(userid)]),
        }
        matches = [match for field in fields for match in told[field]]
        if not matches:
            return []
        return await User.filter(Q(*matches, join_type=Q.OR)).order_by("id")

    async def rehash(self, user: User, password: str) -> None:
        """Hash a password that was just right anew, if it was hashed more cheaply."""
        known = user.password_hash
        if known is None or not self._passwords.is_outdated(known):
            return
        # Otherwise at the next sign-in: this one has succeeded already.
        with suppress(RateLimited, database.DatabaseUnavailable):
            hash = await self._passwords.hash(password)
            # Unless it was changed while it was being hashed.
            await User.filter(id=user.id, password_hash=known).update(
                password_hash=hash
            )

    async def _create(
        self, caller: Caller, new: NewAccount, *, by_system: bool = False
    ) -> User:
        form = Form()
        if new.role is not Role.MEMBER and caller.role is not Role.OWNER:
            form.refuse("role", InputErrorCode.FORBIDDEN, OWNERS_ONLY)
        values = account_fields.read(form, new)
        values |= account_fields.verify(form, new, values, User())
        user = self._new(role=new.role, **account_fields.merged(values))
        await account_fields.refuse_taken(form, values, but=user.id)
        user.password_hash = await self._passwords.hash_good(
            form, "password", new.password, unlike=account_fields.names(user)
        )
        for _ in range(TRIES):
            with suppress(database.Taken):
                async with database.transaction():
                    await user.save(force_create=True)
                    await self._record(
                        caller, "user.created", user, _told(new), by_system=by_system
                    )
                return user
            await account_fields.refuse_taken(form, values, but=user.id)
            form.check()
        raise database.DatabaseUnavailable

    async def _update(self, caller: Caller, id: str, changes: AccountChanges) -> User:
        user = await self._locked(caller, id)
        form = Form()
        values = account_fields.read(form, changes)
        values |= account_fields.verify(form, changes, values, user)
        values |= _standing(form, caller, changes, user)
        changed = account_fields.differing(user, values)
        await account_fields.refuse_taken(form, changed, but=user.id)
        form.check()
        if not changed:
            return user
        was_owner = _is_active_owner(user)
        await self._write(user, **account_fields.merged(changed))
        if "status" in changed and user.status is UserStatus.DISABLED:
            await self._end_sessions(caller, user, "account.disabled")
        await self._record(caller, "user.updated", user, changed)
        if was_owner and not _is_active_owner(user):
            path = "role" if "role" in changed else "status"
            await owners.keep_one(path, now=self._clock())
        return user

    def _new(self, **columns: Any) -> User:
        now = self._clock()
        return User(
            id=ids.new(),
            created_at=now,
            updated_at=now,
            last_login_hour=NEVER,
            **columns,
        )

    async def _locked(self, caller: Caller, id: str) -> User:
        """Until the transaction ends nobody else changes it."""
        key = ids.read(ids.USER, id)
        found = User.select_for_update().get_or_none(id=key) if key else None
        return _may_change(caller, await found if found else None)

    async def _write(self, user: User, **columns: Any) -> None:
        user.update_from_dict({**columns, "updated_at": self._clock()})
        await user.save(update_fields=[*columns, "updated_at"])

    async def _end_sessions(self, caller: Caller, user: User, rule: str) -> None:
        for ended in await sessions.end("user_id", user.id, now=self._clock()):
            await self._audit.record(
                caller, "session.revoked", **ended.facts(rule=rule)
            )

    async def _record(
        self,
        caller: Caller,
        action: str,
        user: User,
        fields: Iterable[str],
        *,
        by_system: bool = False,
    ) -> None:
        await self._audit.record(
            caller,
            action,
            subject=ids.show(ids.USER, user.id),
            changed=list(fields),
            by_system=by_system,
        )


async def _find(columns: dict[str, str]) -> User | None:
    columns = {name: text for name, text in columns.items() if holds(User, name, text)}
    if not columns:
        return None
    found = await User.filter(account_fields.any_of(columns))
    name = columns.get(sign_in_names.USERNAME)
    found.sort(key=lambda user: user.username_key != name)
    return found[0] if found else None


def _each(column: str, values: Iterable[str | None]) -> list[Q]:
    return [
        Q(**{column: text})
        for text in values
        if text and is_printable(text) and holds(User, column, text)
    ]


def _folded(text: str | None) -> str | None:
    return text.casefold() if text else None


def _may_change(caller: Caller, user: User | None) -> User:
    if user is None:
        raise rejected("id", InputErrorCode.NOT_FOUND, NOT_FOUND)
    privileges.check(caller, user, "id")
    return user


def _standing(
    form: Form, caller: Caller, changes: AccountChanges, user: User
) -> Values:
    """The role and the status that were sent."""
    values: Values = {}
    for name, value in (("role", changes.role), ("status", changes.status)):
        if value is None:
            form.refuse(name, InputErrorCode.REQUIRED, REQUIRED)
        elif value is not ABSENT:
            values[name] = {name: value}
    role = values.get("role", {}).get("role", user.role)
    if role is not user.role and caller.role is not Role.OWNER:
        form.refuse("role", InputErrorCode.FORBIDDEN, OWNERS_ONLY)
    return values


def _told(new: NewAccount) -> list[str]:
    """The fields that a new account was given, by their names."""
    given = (
        field.name for field in dataclasses.fields(new) if getattr(new, field.name)
    )
    return [camel_case(name) for name in given]


def _is_active_owner(user: User) -> bool:
    return user.role is Role.OWNER and user.status is UserStatus.ACTIVE
