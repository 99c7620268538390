"""
Refreshing: what keeps a phone logged in for months, and lets go of it in time.

Each refresh looks again at everything that the session rests on. Whatever is refused
for another reason than the session's end leaves the token unspent, so that mending the
reason is enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import wecom
from models import (
    App,
    Identity,
    IdentitySource,
    RefreshToken,
    Session,
    User,
    database,
    ids,
    together,
)
from models.together import Untouched, Write
from services import entrances, problems, refresh_tokens, refusals, sessions
from services.audit import Audit, Trail
from services.callers import Caller
from services.clock import Clock
from services.entrances import Entrances
from services.links import is_active
from services.members import Deadline, Members
from services.rates import Rates
from services.refresh_tokens import Issued, RefreshTokens, Standing
from services.sessions import LoggedIn, Sessions

# Where WeCom did not say, nobody asks about the member again sooner than this; nor
# while somebody is asking, who may be killed over it.
ASKED_AGAIN = timedelta(minutes=5)

_CLAIM = """
UPDATE identities SET checked_at = $1 WHERE id = $2 AND checked_at = $3 RETURNING id
"""


@dataclass(frozen=True, slots=True)
class _Held:
    """A presented token, and everything it rests on."""

    text: str
    token: RefreshToken
    session: Session
    user: User


class Refreshing:
    """Replaces refresh tokens."""

    def __init__(
        self,
        *,
        clock: Clock,
        audit: Audit,
        rates: Rates,
        refresh_tokens: RefreshTokens,
        sessions: Sessions,
        members: Members,
        entrances: Entrances,
        recheck: timedelta,
    ) -> None:
        self._clock = clock
        self._audit = audit
        self._rates = rates
        self._refresh_tokens = refresh_tokens
        self._sessions = sessions
        self._members = members
        self._entrances = entrances
        self._recheck = recheck

    async def refresh(self, caller: Caller, text: str) -> LoggedIn:
        """
        :raises Refusal: by `runtime.md`, "Tokens", and `binding-rules.md`, section 7.
        """
        trail = Trail(action="session.refresh_failed")
        async with self._audit.refusals(caller, trail):
            await self._rates.check(caller, None)
            held = await self._find(trail, text)
            if await self._refresh_tokens.standing(held.token) is Standing.THEFT:
                await self._end_stolen(caller, held)
                raise refusals.RefreshTokenInvalid("refresh.reused")
            app = await self._look_again(caller, trail, held)
            successor = await self._replace(held, app)
            tokens = await self._sessions.tokens(held.session, app, successor)
        return LoggedIn(held.session, held.user, app, tokens)

    async def session_of(self, text: str) -> tuple[Session, User] | None:
        """The live session that a refresh token belongs to, whatever its standing."""
        found = await refresh_tokens.held(text)
        if found is None or not sessions.is_live(found[1], now=self._clock()):
            return None
        return found[1], found[2]

    async def _find(self, trail: Trail, text: str) -> _Held:
        found = await refresh_tokens.held(text)
        if found is None:
            raise refusals.RefreshTokenInvalid("refresh.unknown")
        token, session, user = found
        trail.folded = False
        trail.app_id = session.app_id
        trail.identity_source_id = session.identity_source_id
        trail.subject = ids.show(ids.SESSION, session.id)
        if not sessions.is_live(session, now=self._clock()):
            raise refusals.RefreshTokenInvalid("session.ended")
        if not is_active(user):
            raise refusals.RefreshTokenInvalid("account.disabled")
        return _Held(text, token, session, user)

    async def _look_again(self, caller: Caller, trail: Trail, held: _Held) -> App:
        """
        :raises Refusal: something that the session rests on is gone; for good only
            where a member has left.
        """
        session = held.session
        app_id = ids.show(ids.APP, session.app_id)
        if session.identity_source_id is None or session.identity_id is None:
            return await entrances.enabled_app(app_id)
        entrance = await self._entrances.by_ids(app_id, session.identity_source_id)
        identity = await Identity.get_or_none(id=session.identity_id)
        if identity is None or identity.user_id != held.user.id:
            raise refusals.RefreshTokenInvalid("identity.unlinked")
        trail.corp_id, trail.wecom_user_id = identity.issuer, identity.subject
        if self._is_due(identity):
            await self._ask_again(caller, entrance.source, identity)
        return entrance.app

    def _is_due(self, identity: Identity) -> bool:
        return bool(self._recheck) and (
            self._clock() - identity.checked_at >= self._recheck
        )

    async def _ask_again(
        self, caller: Caller, source: IdentitySource, identity: Identity
    ) -> None:
        """
        Ask WeCom whether the member is still there; one process does, once.

        WeCom being unreachable, busy, or not allowing the question ends nothing.

        :raises MemberNotAllowed: the member has left; every session that came through
            the identity is over.
        """
        now = self._clock()
        if problems.standing(source, now) is not None:
            return
        claimed = now - self._recheck + min(self._recheck, ASKED_AGAIN)
        if not await database.fetch(_CLAIM, claimed, identity.id, identity.checked_at):
            return
        userid = str(identity.profile.get("user_id") or identity.subject)
        barred: refusals.Refusal | None = None
        try:
            async with Deadline():
                barred = await self._members.left(source, userid)
        except (wecom.WecomError, refusals.WecomUnavailable) as error:
            is_refused = _is_not_allowed(error)
            await self._audit.record(
                caller,
                "identity.recheck_failed",
                subject=ids.show(ids.USER, identity.user_id),
                identity_source_id=source.id,
                corp_id=identity.issuer,
                wecom_user_id=identity.subject,
                wecom_error_code=_errcode(error),
                rule=_rule(error),
                by_system=True,
            )
            if not is_refused:
                return
        if barred is not None:
            await self._end_left(caller, source, identity)
            raise barred
        # Unless a login has vouched for the member meanwhile.
        await database.fetch(_CLAIM, now, identity.id, claimed)

    async def _end_left(
        self, caller: Caller, source: IdentitySource, identity: Identity
    ) -> None:
        async with database.transaction():
            now = self._clock()
            for ended in await sessions.end("identity_id", identity.id, now=now):
                facts = ended.facts(
                    rule="member.left",
                    corp_id=identity.issuer,
                    wecom_user_id=identity.subject,
                    by_system=True,
                )
                await self._audit.record(caller, "session.revoked", **facts)

    async def _end_stolen(self, caller: Caller, held: _Held) -> None:
        async with database.transaction():
            await sessions.end("id", held.session.id, now=self._clock())
            await self._audit.record(
                caller,
                "session.reuse_detected",
                subject=ids.show(ids.SESSION, held.session.id),
                app_id=held.session.app_id,
                identity_source_id=held.session.identity_source_id,
                rule="refresh.reused",
                by_system=True,
            )

    async def _replace(self, held: _Held, app: App) -> str:
        """
        The successor: the same one, however often it is asked for.

        :raises RefreshTokenInvalid: somebody ended the session meanwhile, or its app
            lets it live no longer.
        """
        session, now = held.session, self._clock()
        expires_at = _expiry(session, app, now)
        if expires_at <= now:
            raise refusals.RefreshTokenInvalid("session.ended")
        successor = await self._refresh_tokens.successor(held.text, held.token)
        if successor is None:
            raise refusals.RefreshTokenInvalid("refresh.key_gone")
        extension = sessions.extension(session, expires_at, now)
        try:
            await self._write(held.token, successor, extension)
        except Untouched:
            raise refusals.RefreshTokenInvalid("session.ended") from None
        sessions.extended(session, expires_at, now)
        return successor.text

    async def _write(
        self, token: RefreshToken, successor: Issued, extension: Write
    ) -> None:
        """
        :raises Untouched: the session has ended.
        """
        if token.replaced_at is None:
            replacement = refresh_tokens.replacement(token, successor)
            try:
                await together.write(extension, *replacement)
            except (Untouched, database.Taken):
                pass  # Ended, or replaced by somebody who asked at the same time.
            else:
                return
        await together.write(extension)


def _is_not_allowed(error: Exception) -> bool:
    """WeCom was asked, and refuses to say; of gettoken, nobody could even ask."""
    return isinstance(error, wecom.Misconfigured) and error.call != "gettoken"


def _rule(error: wecom.WecomError | refusals.Refusal) -> str | None:
    """Why nobody knows whether the member is still there."""
    if isinstance(error, refusals.Refusal):
        return error.rule
    allowed = not _is_not_allowed(error)
    return "member.unanswered" if allowed else "member.question_not_allowed"


def _errcode(error: wecom.WecomError | refusals.Refusal) -> int | None:
    if isinstance(error, refusals.Refusal):
        return error.wecom_error_code
    return error.errcode if isinstance(error, wecom.Refused) else None


def _expiry(session: Session, app: App, now: datetime) -> datetime:
    """
    The earlier of the idle end and the absolute one.

    A shorter `sessionLifetime` of the app's holds for what was opened before, too; a
    longer one does not: a login was promised its end.
    """
    idle = now + timedelta(seconds=app.refresh_token_lifetime)
    absolute = session.created_at + timedelta(seconds=app.session_lifetime)
    return min(idle, absolute, session.ends_at)
