"""
Linking and unlinking by whoever is logged in, and by administrators.

A stolen access token must not turn into a way in of the thief's own: a person's own
changes want a login of the last minutes, and a state that this very session began.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from models import (
    Identity,
    IdentitySource,
    LinkOrigin,
    Role,
    Session,
    User,
    database,
    ids,
)
from services import (
    binding,
    entrances,
    forms,
    privileges,
    refusals,
    sessions,
    ways_in,
)
from services.audit import Audit, Trail
from services.binding import Facts
from services.callers import Caller
from services.clock import Clock
from services.entrances import Entrance
from services.errors import (
    InputErrorCode,
    InputRejected,
    Unauthenticated,
    UnauthenticatedReason,
    rejected,
)
from services.freshness import Freshness
from services.language import Text
from services.links import ATTEMPTS, Links, rules_of
from services.login import LONGEST_CODE, Begun
from services.members import Deadline, Members
from services.problems import Problems
from services.profiles import Profile
from services.rates import Rates
from services.refusals import LoginRetry, Refusal
from services.reservations import Presented, Reservations
from services.states import Purpose, States

LAST_LOGIN_METHOD = Text(
    "This is the only way to log in: set a password or link another one first.",
    "这是唯一的登录方式，请先设置密码或绑定其他方式。",
)
ALREADY_LINKED = Text(
    "The member is linked to an account already, or the account to another member of "
    "this corp.",
    "该成员已绑定账号，或该账号已绑定本企业的其他成员。",
)
USERID = Text(
    "A WeCom userid has 1 to 64 of letters, digits and _ - @ . and begins with a "
    "letter or a digit.",
    "企业微信 userid 由 1 至 64 个字母、数字或 _ - @ . 组成，且以字母或数字开头。",
)


@dataclass(frozen=True, slots=True)
class LinkAttempt:
    """What the app of somebody who is logged in sends after WeCom's came back."""

    identity_source: str
    code: str = field(repr=False)
    state: str = field(repr=False)
    code_verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Learned:
    """What WeCom said, and what it refused to say more with."""

    profile: Profile
    wecom_error_code: int | None


class Linking:
    """Links members to accounts, and unlinks them."""

    def __init__(
        self,
        *,
        clock: Clock,
        audit: Audit,
        rates: Rates,
        states: States,
        reservations: Reservations,
        members: Members,
        problems: Problems,
        links: Links,
        freshness: Freshness,
    ) -> None:
        self._clock = clock
        self._audit = audit
        self._rates = rates
        self._states = states
        self._reservations = reservations
        self._members = members
        self._problems = problems
        self._links = links
        self._freshness = freshness

    async def start(self, caller: Caller, identifier: str, challenge: str) -> Begun:
        """
        Begin to link a member to the account that is logged in.

        :raises Unauthenticated: the login is older than ten minutes.
        :raises Refusal: the source is not associated with the session's app.
        """
        trail = Trail(action="link.failed")
        _, session = await self._freshness.check(caller, trail.action)
        async with self._audit.refusals(caller, trail):
            entrance = await self._enter(caller, trail, session, identifier)
            purpose = _purpose(entrance, session)
            state, expires_at = await self._states.issue(purpose, challenge)
        return Begun(entrance.source, state, expires_at)

    async def link(self, caller: Caller, attempt: LinkAttempt) -> tuple[Identity, User]:
        """
        Link the member whose code it is to the account that is logged in.

        :raises Unauthenticated: the login is older than ten minutes.
        :raises Refusal: by `binding-rules.md`, sections 1, 2 and 6.
        """
        trail = Trail(action="link.failed")
        user, session = await self._freshness.check(caller, trail.action)
        async with self._audit.refusals(caller, trail):
            entrance = await self._enter(
                caller, trail, session, attempt.identity_source
            )
            presented = await self._reserve(entrance, session, attempt)
            trail.folded = False
            trail.subject = ids.show(ids.USER, user.id)
            try:
                learned = await self._learn(trail, entrance.source, attempt.code)
                return await self._settle(caller, entrance, learned)
            except Refusal as refusal:
                if refusal.retry is LoginRetry.SAME_REQUEST:
                    await self._reservations.give_back(presented)
                raise

    async def unlink_mine(self, caller: Caller, identity_id: str) -> User:
        """
        :raises Unauthenticated: the login is older than ten minutes.
        :raises InputRejected: NOT_FOUND, or LAST_LOGIN_METHOD where no way in is left.
        """
        failed = "identity.unlink_failed"
        person, session = await self._freshness.check(caller, failed)
        async with database.transaction():
            user = await self._links.lock(person.id)
            await sessions.must_go_on(session, now=self._clock())
            identity = await _find(identity_id)
            if user is None or identity is None or identity.user_id != user.id:
                raise _not_found()
            another = await ways_in.remain(user, without=identity)
            if another:
                await self._unlink(caller, identity)
        if not another:
            await self._audit.fold(
                caller,
                failed,
                app_id=session.app_id,
                identity_source_id=identity.identity_source_id,
                rule="identity.last_way_in",
            )
            code = InputErrorCode.LAST_LOGIN_METHOD
            raise rejected("id", code, LAST_LOGIN_METHOD)
        return user

    async def link_member(
        self, caller: Caller, user_id: str, source_id: str, userid: str
    ) -> Identity:
        """
        Link a member to an account as an administrator, who vouches for both.

        :raises InputRejected: NOT_FOUND, INVALID_FORMAT, ALREADY_LINKED or FORBIDDEN.
        """
        caller.require(Role.ADMIN)
        form = forms.Form()
        subject = form.line("subject", userid, pattern=Profile.USERID, otherwise=USERID)
        try:
            async with database.transaction():
                user, source = await self._named(form, user_id, source_id)
                privileges.check(caller, user, "userId")
                identity = await self._links.link(
                    user.id,
                    source,
                    Profile(user_id=subject),
                    LinkOrigin.LINKED_BY_ADMIN,
                )
                await self._record(caller, "identity.linked", identity, source.id)
        except database.Taken:
            code = InputErrorCode.ALREADY_LINKED
            raise rejected("subject", code, ALREADY_LINKED) from None
        return identity

    async def unlink_member(self, caller: Caller, identity_id: str) -> User:
        """
        Unlink as an administrator, even where it leaves no way in.

        :raises InputRejected: NOT_FOUND or FORBIDDEN.
        """
        caller.require(Role.ADMIN)
        async with database.transaction():
            identity = await _find(identity_id)
            user = await self._links.lock(identity.user_id) if identity else None
            if identity is None or user is None:
                raise _not_found()
            privileges.check(caller, user, "id")
            await self._unlink(caller, identity)
        return user

    async def _named(
        self, form: forms.Form, user_id: str, source_id: str
    ) -> tuple[User, IdentitySource]:
        """
        :raises InputRejected: with everything that is wrong.
        """
        id = ids.read(ids.USER, user_id)
        user = await self._links.lock(id) if id else None
        if user is None:
            form.refuse("userId", InputErrorCode.NOT_FOUND, forms.NOT_FOUND)
        source = await IdentitySource.get_or_none(id=ids.read(ids.SOURCE, source_id))
        if source is None:
            path = "identitySourceId"
            form.refuse(path, InputErrorCode.NOT_FOUND, forms.NOT_FOUND)
        if user is None or source is None or form.problems:
            raise InputRejected(form.problems)
        return user, source

    async def _enter(
        self, caller: Caller, trail: Trail, session: Session, identifier: str
    ) -> Entrance:
        trail.app_id = session.app_id
        app_id = ids.show(ids.APP, session.app_id)
        entrance = await entrances.by_identifier(app_id, identifier)
        trail.identity_source_id = entrance.source.id
        await self._rates.check(caller, entrance.source)
        return entrance

    async def _reserve(
        self, entrance: Entrance, session: Session, attempt: LinkAttempt
    ) -> Presented:
        code = attempt.code.encode("utf-8", "surrogatepass")
        if not 0 < len(code) <= LONGEST_CODE:
            raise refusals.CodeInvalid("code.malformed")
        await self._states.check(
            attempt.state,
            _purpose(entrance, session),
            attempt.code_verifier,
            challenged=True,
        )
        # No verifier among what is presented: only a login's answer is given again.
        presented = Presented.of(
            entrance.app.id, entrance.source.id, attempt.code, attempt.state, None
        )
        await self._reservations.reserve(presented)
        return presented

    async def _learn(self, trail: Trail, source: IdentitySource, code: str) -> _Learned:
        async with Deadline() as deadline:
            named = await self._members.identify(source, code, deadline)
        member = named.member
        trail.corp_id, trail.wecom_user_id = source.corp_id, member.userid

        async def linked() -> bool:
            subject = member.userid.casefold()
            return await self._links.holder(source.corp_id, subject) is not None

        told = await self._members.describe(source, named, deadline, linked=linked)
        await self._problems.clear_remembered(source)
        return _Learned(Profile.of(member, told.profile), told.wecom_error_code)

    async def _settle(
        self, caller: Caller, entrance: Entrance, learned: _Learned
    ) -> tuple[Identity, User]:
        for _ in range(ATTEMPTS):
            try:
                async with database.transaction():
                    return await self._decide(caller, entrance, learned)
            except database.Taken:
                continue
        raise database.DatabaseUnavailable

    async def _decide(
        self, caller: Caller, entrance: Entrance, learned: _Learned
    ) -> tuple[Identity, User]:
        """
        Decide and do it, all at once: while WeCom was asked, the person may have been
        disabled, or have ended the session that a thief began this with.
        """
        person, session = caller.person()
        source, profile = entrance.source, learned.profile
        user = await self._links.lock(person.id)
        await sessions.must_go_on(session, now=self._clock())
        if user is None:
            raise Unauthenticated(UnauthenticatedReason.REVOKED)
        holder = await self._links.holder(source.corp_id, profile.subject)
        [account, *linked] = await self._links.accounts(
            [user, holder.user] if holder else [user]
        )
        facts = Facts(
            source.corp_id,
            entrance.app.allow_sign_up,
            linked=linked[0] if linked else None,
        )
        decision = binding.decide(rules_of(source), facts, binding.Link(account))
        if decision.refusal:
            code = learned.wecom_error_code
            raise decision.refusal(decision.rule, wecom_error_code=code)
        action = "identity.link_confirmed"
        identity = holder.identity if holder else None
        if identity is None:
            action = "identity.linked"
            origin = LinkOrigin.LINKED_BY_USER
            identity = await self._links.link(user.id, source, profile, origin)
        await self._record(
            caller,
            action,
            identity,
            source.id,
            app_id=entrance.app.id,
            rule=decision.rule,
            wecom_error_code=learned.wecom_error_code,
        )
        return identity, user

    async def _unlink(self, caller: Caller, identity: Identity) -> None:
        """
        The identity goes first: a login through it that is under way either has opened
        its session by then, which is ended with the others, or finds it gone.

        :raises InputRejected: NOT_FOUND: somebody else was faster.
        """
        if not await Identity.filter(id=identity.id).delete():
            raise _not_found()
        now = self._clock()
        for ended in await sessions.end("identity_id", identity.id, now=now):
            facts = ended.facts(rule="identity.unlinked")
            await self._audit.record(caller, "session.revoked", **facts)
        source_id = identity.identity_source_id
        await self._record(caller, "identity.unlinked", identity, source_id)

    async def _record(
        self,
        caller: Caller,
        action: str,
        identity: Identity,
        source_id: uuid.UUID | None,
        *,
        app_id: uuid.UUID | None = None,
        rule: str | None = None,
        wecom_error_code: int | None = None,
    ) -> None:
        await self._audit.record(
            caller,
            action,
            subject=ids.show(ids.USER, identity.user_id),
            changed=["identities"] if action.endswith("linked") else [],
            app_id=app_id,
            identity_source_id=source_id,
            wecom_error_code=wecom_error_code,
            corp_id=identity.issuer,
            wecom_user_id=identity.subject,
            rule=rule,
        )


def _purpose(entrance: Entrance, session: Session) -> Purpose:
    return Purpose(entrance.app.id, entrance.source.id, session.id)


async def _find(identity_id: str) -> Identity | None:
    return await Identity.get_or_none(id=ids.read(ids.IDENTITY, identity_id))


def _not_found() -> InputRejected:
    return rejected("id", InputErrorCode.NOT_FOUND, forms.NOT_FOUND)
