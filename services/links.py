"""
Identities and the accounts that hold them: the facts of a decision, and its doing.

Constraints decide races, not looks beforehand: whoever comes second is told `Taken`, or
finds that what a decision rested on has changed, and decides anew.
"""

from __future__ import annotations

import functools
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from models import (
    AccountAssociationMode,
    App,
    AuditEvent,
    Identity,
    IdentityProvider,
    IdentitySource,
    LinkOrigin,
    LoginResolution,
    MatchField,
    Role,
    User,
    UserStatus,
    database,
    ids,
    rows,
)
from models.gathered import Gathered
from models.together import Write
from services import binding
from services.account_association import AccountAssociation
from services.accounts import Accounts
from services.audit import Audit
from services.batches import among
from services.binding import Account, Decision, Facts, Outcome, Rules
from services.callers import Caller
from services.clock import Clock
from services.entrances import Entrance
from services.pages import Where
from services.profiles import Profile

# How often a decision is made anew before something else must be wrong.
ATTEMPTS = 5

_HOLDER = """
SELECT {identity}, {user}, {version} AS version FROM identities identity
JOIN users account ON account.id = identity.user_id
WHERE {sought}
"""

# The place in the list moves at most once a minute: each move rewrites an index.
_RETURNED = """
UPDATE users SET last_login_at = $1,
    last_login_hour = CASE WHEN last_login_hour < $2 THEN $1 ELSE last_login_hour END
WHERE id = $3 AND status = 'ACTIVE'
"""
_STAYS = timedelta(minutes=1)

_LOGGED_IN = f"{_RETURNED} RETURNING id"

# PostgreSQL's own mark of who wrote a row last; it changes with every write.
_VERSION = {"postgres": "account.xmin", "sqlite": "NULL"}

_RETURNED_ALONE = f"{_RETURNED} AND xmin = $4"

# Whoever holds it now must still be the one that was decided on.
_SEEN = """
UPDATE identities SET last_login_at = $1, checked_at = $1, identity_source_id = $2,
    profile = $3
WHERE id = $4 AND user_id = $5
"""

_PROFILE = Identity._meta.fields_map["profile"]


_ORIGINS = {
    LoginResolution.MATCHED: LinkOrigin.FIELD_MATCHING,
    LoginResolution.BOUND: LinkOrigin.ASK_TO_BIND,
    None: LinkOrigin.LINKED_BY_USER,
}

_ACTIONS = {
    Outcome.CREATE_ACCOUNT: ("user.created", "identity.linked"),
    Outcome.LINK_AND_LOG_IN: ("identity.linked",),
    Outcome.LOG_IN: (),
}


class Changed(Exception):
    """What the decision rested on is no longer so: decide anew."""


@dataclass(frozen=True, slots=True)
class Holder:
    """
    An identity and the account that holds it.

    `version` is the account's as it was read; None in SQLite, which needs none.
    """

    identity: Identity
    user: User
    version: int | None = None


class Links:
    """Reads and writes who is who."""

    def __init__(self, *, clock: Clock, audit: Audit, accounts: Accounts) -> None:
        self._clock = clock
        self._audit = audit
        self._accounts = accounts
        self._rows: Gathered[tuple[str, str], Any] = Gathered(_members)

    async def holder(self, corp_id: str, subject: str) -> Holder | None:
        """Who holds the identity of a member, in one statement."""
        return _holder((await _found(corp_id, [subject])).get(subject))

    async def holder_of_many(self, corp_id: str, subject: str) -> Holder | None:
        """
        The same, where logins come in crowds: those of one moment share a statement.

        Not for use within a transaction: that statement is outside of it.
        """
        return _holder(await self._rows.get((corp_id, subject)))

    async def linked(self, corp_id: str, subject: str) -> Account | None:
        """What decides about the account that holds a member's identity."""
        holder = await self.holder(corp_id, subject)
        return account_of(holder) if holder else None

    async def facts(
        self,
        source: IdentitySource,
        app: App,
        profile: Profile,
        *,
        rules: Rules,
        holder: Holder | None = None,
    ) -> Facts:
        """
        Everything that a login of this member is decided by.

        :param holder: who holds the identity, where that was looked up a moment ago.
        """
        corp_id = source.corp_id
        linked = (
            account_of(holder)
            if holder
            else await self.linked(corp_id, profile.subject)
        )
        candidates: list[Account] = []
        if linked is None and rules.mode is AccountAssociationMode.FIELD_MATCHING:
            candidates = await self._candidates(profile, rules)
        if any(corp_id in account.corps for account in candidates):
            # Perhaps since a moment, by this very member's other login: then this one
            # finds them linked, and not an account that is somebody else's.
            linked = await self.linked(corp_id, profile.subject)
        return Facts(
            corp_id=corp_id,
            allow_sign_up=app.allow_sign_up,
            linked=linked,
            told=told(profile),
            candidates=tuple(candidates),
        )

    async def _candidates(self, profile: Profile, rules: Rules) -> list[Account]:
        return await self.accounts(
            await self._accounts.candidates(
                rules.match_fields,
                emails=profile.emails,
                phone=profile.phone,
                userid=profile.user_id,
            )
        )

    async def accounts(self, users: Iterable[User]) -> list[Account]:
        """What decides about each of `users`."""
        users = list(users)
        corps: dict[uuid.UUID, set[str]] = {user.id: set() for user in users}
        for identity in await Identity.filter(user_id__in=list(corps)) if users else []:
            corps[identity.user_id].add(identity.issuer)
        return [
            Account(
                id=user.id,
                active=is_active(user),
                privileged=user.role is not Role.MEMBER,
                corps=frozenset(corps[user.id]),
            )
            for user in users
        ]

    async def lock(self, user_id: uuid.UUID) -> User | None:
        """
        Hold an account until the transaction ends, and say how it is now.

        Two who each unlink one of the two last identities would otherwise both see the
        other one still there.
        """
        return await User.select_for_update().get_or_none(id=user_id)

    def created(
        self, source: IdentitySource, profile: Profile
    ) -> tuple[User, Identity]:
        """
        A new account that holds the member's identity and has just logged in, to be
        written: whoever finds it `Taken` was too slow.

        What WeCom tells stays in the identity's profile until somebody verifies it:
        an e-mail that an administrator of WeCom typed proves nothing about a mailbox.
        """
        user = self._accounts.new_for_member(profile.display_name)
        identity = self._new_identity(user.id, source, profile, LinkOrigin.CREATED)
        now = identity.linked_at
        user.last_login_at = user.last_login_hour = identity.last_login_at = now
        return user, identity

    async def link(
        self,
        user_id: uuid.UUID,
        source: IdentitySource,
        profile: Profile,
        origin: LinkOrigin,
    ) -> Identity:
        """
        :raises Taken: the identity is linked, or the account holds one of this corp.
        """
        identity = self._new_identity(user_id, source, profile, origin)
        await identity.save(force_create=True)
        return identity

    def _new_identity(
        self,
        user_id: uuid.UUID,
        source: IdentitySource,
        profile: Profile,
        origin: LinkOrigin,
    ) -> Identity:
        now = self._clock()
        return rows.new(
            Identity,
            id=ids.new(),
            user_id=user_id,
            provider=IdentityProvider.WECOM,
            issuer=source.corp_id,
            subject=profile.subject,
            identity_source_id=source.id,
            profile=profile.to_store(),
            linked_at=now,
            linked_by=origin,
            checked_at=now,
        )

    async def carry_out(
        self,
        caller: Caller,
        decision: Decision,
        entrance: Entrance,
        profile: Profile,
        *,
        known: bool = True,
    ) -> tuple[User, Identity]:
        """
        Do what was decided, in the transaction of the login.

        :param known: whether the profile was told anew, and replaces the stored one.
        :raises Taken: somebody else linked the identity or the account.
        :raises Changed: what the decision rested on is no longer so.
        """
        source = entrance.source
        if decision.resolution is LoginResolution.MATCHED:
            await self._confirm(decision, entrance, profile)
        if decision.outcome is Outcome.CREATE_ACCOUNT:
            user, identity = self.created(source, profile)
            await user.save(force_create=True)
            await identity.save(force_create=True)
        else:
            user, identity = await self._held(decision, source, profile)
            if decision.outcome is Outcome.LOG_IN and known:
                identity.profile = profile.to_store()
            await self.logged_in(user, identity, source)
        for event in self.events(caller, decision, entrance, user, identity):
            await event.save(force_create=True)
        return user, identity

    async def _confirm(
        self, decision: Decision, entrance: Entrance, profile: Profile
    ) -> None:
        """
        Nobody proves anything in a match, so it rests on the account as it is now: one
        that has become an administrator's since it was looked at is not to be linked.

        :raises Changed: it would be decided otherwise now.
        """
        if decision.account_id:
            await self.lock(decision.account_id)
        rules = rules_of(entrance.source)
        facts = await self.facts(entrance.source, entrance.app, profile, rules=rules)
        if binding.decide(rules, facts) != decision:
            raise Changed

    async def _held(
        self, decision: Decision, source: IdentitySource, profile: Profile
    ) -> tuple[User, Identity]:
        if decision.outcome is Outcome.LINK_AND_LOG_IN and decision.account_id:
            origin = _ORIGINS[decision.resolution]
            identity = await self.link(decision.account_id, source, profile, origin)
            user = await User.get_or_none(id=decision.account_id)
            if user is None:
                raise Changed
            return user, identity
        holder = await self.holder(source.corp_id, profile.subject)
        if holder is None or holder.user.id != decision.account_id:
            raise Changed
        return holder.user, holder.identity

    def events(
        self,
        caller: Caller,
        decision: Decision,
        entrance: Entrance,
        user: User,
        identity: Identity,
    ) -> list[AuditEvent]:
        """What tells, beside the login's own event, of what was decided."""
        return [
            self._audit.event(
                caller,
                action,
                by=user,
                subject=ids.show(ids.USER, user.id),
                app_id=entrance.app.id,
                identity_source_id=entrance.source.id,
                rule=decision.rule,
                corp_id=identity.issuer,
                wecom_user_id=identity.subject,
            )
            for action in _ACTIONS[decision.outcome]
        ]

    async def logged_in(
        self, user: User, identity: Identity | None, source: IdentitySource | None
    ) -> None:
        """
        Note the login, in its transaction.

        :raises Changed: the account was disabled or deleted, or the identity unlinked,
            since the decision.
        """
        now = self._clock()
        if not await database.fetch(_LOGGED_IN, now, now - _STAYS, user.id):
            raise Changed
        user.last_login_at = now
        if identity is None:
            return
        changes = {"last_login_at": now, "checked_at": now}
        if source is not None:
            identity.identity_source_id = source.id
        updated = await Identity.filter(id=identity.id, user_id=user.id).update(
            **changes,
            identity_source_id=identity.identity_source_id,
            profile=identity.profile,
        )
        if not updated:
            raise Changed
        identity.last_login_at = identity.checked_at = now

    def returned(
        self, holder: Holder, source: IdentitySource, *, alone: bool = False
    ) -> tuple[Write, Write]:
        """
        Note the login of somebody who is known; untouched where the account was
        disabled or deleted, or the identity unlinked, since it was looked up.

        :param alone: untouched also where anybody wrote to the account since. Logins
            of one account wait here for one another, but in PostgreSQL the writes
            beside this one would not see what they waited for: the session that the
            other login opened for the same installation, and which this one replaces.
        """
        user, identity = holder.user, holder.identity
        now = self._clock()
        user.last_login_at = identity.last_login_at = identity.checked_at = now
        identity.identity_source_id = source.id
        profile = _PROFILE.to_db_value(identity.profile, identity)
        seen = now, source.id, profile, identity.id, user.id
        noted = Write(_RETURNED, (now, now - _STAYS, user.id), needed=True)
        if alone and holder.version is not None:
            values = *noted.values, holder.version
            noted = Write(_RETURNED_ALONE, values, needed=True)
        return noted, Write(_SEEN, seen, needed=True)


async def _members(keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Any]:
    """Of members, by corp and subject: identities with whose they are."""
    subjects: defaultdict[str, list[str]] = defaultdict(list)
    for corp_id, subject in keys:
        subjects[corp_id].append(subject)
    return {
        (corp_id, subject): row
        for corp_id, wanted in subjects.items()
        for subject, row in (await _found(corp_id, wanted)).items()
    }


async def _found(corp_id: str, subjects: Sequence[str]) -> dict[str, Any]:
    where = Where().add(
        "identity.provider = ? AND identity.issuer = ?", IdentityProvider.WECOM, corp_id
    )
    where.conditions.append(among(where, "identity.subject", subjects))
    sql = _sql(database.dialect(), str(where))
    found = await database.look_up(sql, *where.values)
    return {row["identity.subject"]: row for row in found}


def _holder(row: Any | None) -> Holder | None:
    identity = database.read(Identity, row, "identity") if row else None
    user = database.read(User, row, "account") if row else None
    return Holder(identity, user, row["version"]) if row and identity and user else None


@functools.cache
def _sql(dialect: str, sought: str) -> str:
    return _HOLDER.format(
        identity=database.columns(Identity, "identity"),
        user=database.columns(User, "account"),
        version=_VERSION[dialect],
        sought=sought,
    )


def account_of(holder: Holder) -> Account:
    """What decides about an account that holds the member's identity."""
    return Account(holder.user.id, active=is_active(holder.user))


def is_active(user: User) -> bool:
    return user.status is UserStatus.ACTIVE


def told(profile: Profile) -> frozenset[MatchField]:
    """The fields of which WeCom told a value; the userid it always tells."""
    found = {MatchField.USERNAME, MatchField.EXTERNAL_ID}
    if profile.emails:
        found.add(MatchField.EMAIL)
    if profile.phone:
        found.add(MatchField.PHONE)
    return frozenset(found)


def rules_of(source: IdentitySource) -> Rules:
    """The saved rules of a source."""
    return rules(AccountAssociation.of(source), login_only=source.login_only)


def rules(association: AccountAssociation, *, login_only: bool) -> Rules:
    """Rules that are saved, or that somebody tries out."""
    return Rules(
        mode=association.mode,
        login_only=login_only,
        match_fields=frozenset(association.match_fields or ()),
        binding_methods=tuple(association.binding_methods or ()),
        match_across_corps=bool(association.match_across_corps),
    )
