"""
The main job: a code that WeCom gave to somebody's phone becomes a session.

What is refused before WeCom is asked costs its caller nothing and the server little:
the order of the checks is that of `binding-rules.md`, section 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from models import (
    AuditEvent,
    BindingMethod,
    Identity,
    IdentitySource,
    LoginResolution,
    Session,
    User,
    database,
    ids,
    together,
)
from models.together import Untouched, Write, insert
from services import binding, entrances, refusals, sessions
from services.audit import Audit, Trail
from services.binding import Decision, Outcome
from services.callers import Caller
from services.clock import Clock
from services.entrances import Entrance, Entrances
from services.links import ATTEMPTS, Changed, Holder, Links, rules_of
from services.members import Deadline, Members, Told
from services.problems import Problems
from services.profiles import Profile
from services.rates import Rates
from services.refresh_tokens import Issued
from services.refusals import LoginRetry, Refusal
from services.reservations import Answered, Presented, Reservations
from services.sessions import Device, LoggedIn, Sessions
from services.states import Purpose, States
from services.tickets import Tickets

# Tests turn it off, to show that both ways end in the same.
ONE_STEP = True

# Bytes; WeCom's own bound.
LONGEST_CODE = 512


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a mobile app sends after WeCom's app has come back to it."""

    app_id: str
    identity_source: str
    code: str = field(repr=False)
    state: str | None = field(default=None, repr=False)
    code_verifier: str | None = field(default=None, repr=False)
    device: Device | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """What a mobile app hands to WeCom's SDK."""

    source: IdentitySource
    state: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """Nobody is logged in yet: the person must choose an account."""

    ticket: str = field(repr=False)
    expires_at: datetime
    methods: tuple[BindingMethod, ...]
    can_create_account: bool
    profile: Profile


class Login:
    """Starts logins with WeCom and finishes them."""

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
        tickets: Tickets,
        sessions: Sessions,
        entrances: Entrances,
    ) -> None:
        self._clock = clock
        self._audit = audit
        self._rates = rates
        self._states = states
        self._reservations = reservations
        self._members = members
        self._problems = problems
        self._links = links
        self._tickets = tickets
        self._sessions = sessions
        self._entrances = entrances

    async def start(
        self, caller: Caller, app_id: str, identifier: str, challenge: str | None
    ) -> Begun:
        """
        Begin a login: nothing is stored, so it may be begun as often as one likes.

        :raises Refusal: the app or the source is not available, the rate is exceeded,
            or the app requires a challenge and there is none.
        """
        trail = Trail()
        async with self._audit.refusals(caller, trail):
            entrance = await self._enter(caller, trail, app_id, identifier)
            if challenge is None and entrance.app.require_state:
                raise refusals.StateInvalid("state.challenge_missing")
            purpose = Purpose(entrance.app.id, entrance.source.id)
            state, expires_at = await self._states.issue(purpose, challenge)
        return Begun(entrance.source, state, expires_at)

    async def log_in(self, caller: Caller, attempt: Attempt) -> LoggedIn | Asked:
        """
        Exchange a code for a session, or for a question to the person.

        :raises Refusal: by `binding-rules.md`, sections 1 to 5.
        """
        trail = Trail()
        async with self._audit.refusals(caller, trail):
            entrance = await self._enter(
                caller, trail, attempt.app_id, attempt.identity_source
            )
            await self._check(entrance, attempt)
            presented = Presented.of(
                entrance.app.id,
                entrance.source.id,
                attempt.code,
                attempt.state,
                attempt.code_verifier,
            )
            course = _Course(caller, trail, entrance, attempt, presented)
            answered = await self._reservations.reserve(presented)
            if answered is not None:
                return await self._answer_again(course, answered)
            trail.folded = False
            return await self._spend(course)

    async def _enter(
        self, caller: Caller, trail: Trail, app_id: str, identifier: str
    ) -> Entrance:
        trail.app_id = ids.read(ids.APP, app_id)
        entrance = await self._entrances.by_identifier(app_id, identifier)
        trail.identity_source_id = entrance.source.id
        await self._rates.check(caller, entrance.source)
        return entrance

    async def _check(self, entrance: Entrance, attempt: Attempt) -> None:
        code = attempt.code.encode("utf-8", "surrogatepass")
        if not 0 < len(code) <= LONGEST_CODE:
            raise refusals.CodeInvalid("code.malformed")
        required = entrance.app.require_state
        if attempt.state is None:
            if required:
                raise refusals.StateInvalid("state.missing")
            return
        purpose = Purpose(entrance.app.id, entrance.source.id)
        await self._states.check(
            attempt.state, purpose, attempt.code_verifier, challenged=required
        )

    async def _spend(self, course: _Course) -> LoggedIn | Asked:
        """Ask WeCom with a code that is reserved, and decide what becomes of it."""
        try:
            learned = await self._learn(course)
            result = await self._settle(course, learned)
        except Refusal as refusal:
            if refusal.retry is LoginRetry.SAME_REQUEST:
                await self._reservations.give_back(course.presented)
            else:
                await self._reservations.spend(course.presented)
            raise
        except BaseException:
            # Whatever it was, the code may be spent at WeCom.
            await self._reservations.spend(course.presented)
            raise
        if isinstance(result, Asked):
            await self._reservations.spend(course.presented)
        return result

    async def _learn(self, course: _Course) -> _Learned:
        """Who it is and what WeCom tells of them."""
        source, trail = course.entrance.source, course.trail
        async with Deadline() as deadline:
            code = course.attempt.code
            named = await self._members.identify(source, code, deadline)
        member = named.member
        trail.corp_id, trail.wecom_user_id = source.corp_id, member.userid

        async def linked() -> bool:
            subject = member.userid.casefold()
            holder = await self._links.holder_of_many(source.corp_id, subject)
            if holder is not None:
                trail.subject = ids.show(ids.USER, holder.user.id)
            return holder is not None

        told = await self._members.describe(source, named, deadline, linked=linked)
        await self._problems.clear_remembered(source)
        return _Learned(Profile.of(member, told.profile), told)

    async def _settle(self, course: _Course, learned: _Learned) -> LoggedIn | Asked:
        """Decide, and do it; anew where somebody else was faster."""
        source, app = course.entrance.source, course.entrance.app
        rules = rules_of(source)
        one_step = ONE_STEP
        for _ in range(ATTEMPTS):
            profile = learned.profile
            holder = await self._links.holder_of_many(source.corp_id, profile.subject)
            facts = await self._links.facts(
                source, app, profile, rules=rules, holder=holder
            )
            decision = binding.decide(rules, facts)
            if decision.account_id:
                course.trail.subject = ids.show(ids.USER, decision.account_id)
            if decision.refusal:
                code = learned.told.wecom_error_code
                raise decision.refusal(decision.rule, wecom_error_code=code)
            if decision.outcome is Outcome.ASK_TO_BIND:
                return await self._ask(course, learned, decision)
            try:
                if holder and decision.outcome is Outcome.LOG_IN and one_step:
                    return await self._return(course, learned, holder, decision)
                if decision.outcome is Outcome.CREATE_ACCOUNT and one_step:
                    return await self._create(course, learned, decision)
                return await self._open(course, learned, decision)
            except Untouched:
                # A crowd of one account's logins would fail one another again and
                # again; transactions wait for one another, and see what was done. They
                # also say what it was: an account or an app that was disabled.
                one_step = False
            except (database.Taken, Changed):
                continue
        raise database.DatabaseUnavailable

    async def _return(
        self, course: _Course, learned: _Learned, holder: Holder, decision: Decision
    ) -> LoggedIn:
        """
        What `_open` does, for somebody who is known, in one step.

        Most logins are of members who return: this spares them the round trips of a
        transaction (see `models/together.py`), a third of the server's time.
        """
        if learned.told.profile is not None:
            holder.identity.profile = learned.profile.to_store()
        session, issued = await self._prepare(
            course, holder.user, holder.identity, decision
        )
        replaced = sessions.replaced(session)
        await together.write(
            *self._links.returned(holder, course.entrance.source, alone=bool(replaced)),
            *replaced,
            *self._opened(course, session, issued),
            insert(self._succeeded(course, learned, holder.user, decision)),
            order=str(holder.user.id),
        )
        return await self._logged_in(course, holder.user, session, issued)

    async def _create(
        self, course: _Course, learned: _Learned, decision: Decision
    ) -> LoggedIn:
        """
        What `_open` does for somebody who is new, in one step.

        On the day that an app is rolled out everybody is: hundreds at once would wait
        for one another's transactions.
        """
        links = self._links
        user, identity = links.created(course.entrance.source, learned.profile)
        session, issued = await self._prepare(course, user, identity, decision)
        told = links.events(course.caller, decision, course.entrance, user, identity)
        await together.write(
            insert(user),
            insert(identity),
            *self._opened(course, session, issued),
            *map(insert, told),
            insert(self._succeeded(course, learned, user, decision)),
            order=f"{identity.issuer} {identity.subject}",
        )
        return await self._logged_in(course, user, session, issued)

    async def _prepare(
        self, course: _Course, user: User, identity: Identity, decision: Decision
    ) -> tuple[Session, Issued]:
        return await self._sessions.prepare(
            course.caller,
            user,
            course.entrance.app,
            decision.resolution or LoginResolution.LINKED,
            device=course.attempt.device,
            identity_id=identity.id,
            identity_source_id=course.entrance.source.id,
            repeatable=_repeatable(course.attempt),
        )

    def _opened(
        self, course: _Course, session: Session, issued: Issued
    ) -> tuple[Write, ...]:
        success = self._reservations.success
        return (
            insert(session),
            insert(issued.row),
            success(course.presented, session, issued.key_id),
        )

    async def _logged_in(
        self, course: _Course, user: User, session: Session, issued: Issued
    ) -> LoggedIn:
        app = course.entrance.app
        tokens = await self._sessions.tokens(session, app, issued.text)
        return LoggedIn(session, user, app, tokens)

    def _succeeded(
        self, course: _Course, learned: _Learned, user: User, decision: Decision
    ) -> AuditEvent:
        source = course.entrance.source
        return self._audit.event(
            course.caller,
            "login.succeeded",
            by=user,
            subject=ids.show(ids.USER, user.id),
            app_id=course.entrance.app.id,
            identity_source_id=source.id,
            wecom_error_code=learned.told.wecom_error_code,
            rule=decision.rule,
            corp_id=source.corp_id,
            wecom_user_id=learned.profile.user_id,
        )

    async def _ask(
        self, course: _Course, learned: _Learned, decision: Decision
    ) -> Asked:
        app, source = course.entrance.app, course.entrance.source
        async with database.transaction():
            ticket = await self._tickets.issue(app, source, learned.profile)
            await self._audit.record(
                course.caller,
                "login.binding_required",
                app_id=app.id,
                identity_source_id=source.id,
                wecom_error_code=learned.told.wecom_error_code,
                rule=decision.rule,
                corp_id=source.corp_id,
                wecom_user_id=learned.profile.user_id,
            )
        return Asked(
            ticket=ticket.text,
            expires_at=ticket.expires_at,
            methods=rules_of(source).binding_methods,
            can_create_account=decision.can_create_account,
            profile=learned.profile,
        )

    async def _open(
        self, course: _Course, learned: _Learned, decision: Decision
    ) -> LoggedIn:
        """Account, identity, session and event: all of them, or none."""
        async with database.transaction():
            user, identity = await self._links.carry_out(
                course.caller,
                decision,
                course.entrance,
                learned.profile,
                known=learned.told.profile is not None,
            )
            session, issued = await self._prepare(course, user, identity, decision)
            await sessions.save(session, issued)
            # It may have been disabled, or deleted, while WeCom was asked.
            await entrances.enabled_app(course.attempt.app_id)
            await self._reservations.succeed(
                course.presented, session.id, issued.key_id
            )
            event = self._succeeded(course, learned, user, decision)
            await event.save(force_create=True)
        return await self._logged_in(course, user, session, issued)

    async def _answer_again(self, course: _Course, answered: Answered) -> LoggedIn:
        """
        :raises Refusal: the session has ended meanwhile.
        """
        app, attempt = course.entrance.app, course.attempt
        session = await Session.get_or_none(id=answered.session_id)
        user = await User.get_or_none(id=session.user_id) if session else None
        live = session is not None and sessions.is_live(session, now=self._clock())
        if session is None or user is None or not live:
            raise _spent(attempt, "session.ended_meanwhile")
        tokens = await self._sessions.first_tokens_again(
            session, app, answered.key_id, repeatable=_repeatable(attempt) or ""
        )
        if tokens is None:
            raise _spent(attempt, "code.presented_before")
        await self._audit.record(
            course.caller,
            "login.repeated",
            by=user,
            subject=ids.show(ids.USER, user.id),
            app_id=app.id,
            identity_source_id=course.entrance.source.id,
            rule="login.same_request",
        )
        return LoggedIn(session, user, app, tokens)


@dataclass(frozen=True, slots=True)
class _Course:
    """One login under way."""

    caller: Caller
    trail: Trail
    entrance: Entrance
    attempt: Attempt
    presented: Presented


@dataclass(frozen=True, slots=True)
class _Learned:
    """What WeCom said."""

    profile: Profile
    told: Told


def _spent(attempt: Attempt, rule: str) -> Refusal:
    if attempt.state is not None:
        return refusals.StateInvalid(rule)
    return refusals.CodeInvalid(rule)


def _repeatable(attempt: Attempt) -> str | None:
    """What makes the first refresh token the same for the very same request."""
    if not attempt.code_verifier:
        return None
    return "\0".join((attempt.code, attempt.state or "", attempt.code_verifier))
