"""Signing in with a password, where an app allows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from models import LoginResolution, User, database, ids
from services import attempts, entrances, refusals
from services.accounts import Accounts
from services.attempts import Attempts
from services.audit import Audit, Trail
from services.callers import Caller
from services.links import Changed, Links, is_active
from services.passwords import Passwords
from services.rates import Rates
from services.sessions import Device, LoggedIn, Sessions


@dataclass(frozen=True, slots=True)
class Credentials:
    """A username, verified e-mail or verified phone, and its password."""

    account: str
    password: str = field(repr=False)


class PasswordSignIn:
    """Opens sessions that no WeCom member stands behind."""

    def __init__(
        self,
        *,
        audit: Audit,
        rates: Rates,
        accounts: Accounts,
        attempts: Attempts,
        passwords: Passwords,
        links: Links,
        sessions: Sessions,
    ) -> None:
        self._audit = audit
        self._rates = rates
        self._accounts = accounts
        self._attempts = attempts
        self._passwords = passwords
        self._links = links
        self._sessions = sessions

    async def sign_in(
        self,
        caller: Caller,
        app_id: str,
        credentials: Credentials,
        device: Device | None = None,
    ) -> LoggedIn:
        """
        :raises Refusal: by `binding-rules.md`, section 6.
        """
        trail = Trail()
        async with self._audit.refusals(caller, trail):
            trail.app_id = ids.read(ids.APP, app_id)
            app = await entrances.enabled_app(app_id)
            await self._rates.check(caller, None)
            if not app.allow_password_sign_in:
                raise refusals.MethodNotAllowed("app.no_password_sign_in")
            trail.folded = False
            user = await self._prove(caller, credentials)
            trail.subject = ids.show(ids.USER, user.id)
            if not is_active(user):
                raise refusals.AccountDisabled("account.disabled")
            async with database.transaction():
                try:
                    await self._links.logged_in(user, None, None)
                except Changed:
                    raise refusals.AccountDisabled("account.disabled") from None
                session, issued = await self._sessions.open(
                    caller, user, app, LoginResolution.PASSWORD, device=device
                )
                await self._audit.record(
                    caller,
                    "login.succeeded",
                    by=user,
                    subject=trail.subject,
                    app_id=app.id,
                    rule="password.right",
                )
            tokens = await self._sessions.tokens(session, app, issued.text)
        return LoggedIn(session, user, app, tokens)

    async def _prove(self, caller: Caller, credentials: Credentials) -> User:
        user, typed = await self._accounts.find_for_sign_in(credentials.account)
        key = attempts.account_key(user, typed)
        attempt = await self._attempts.begin(key, caller.origin.ip_address)
        try:
            right = await self._passwords.verify(
                user.password_hash if user else None, credentials.password
            )
        except refusals.Refusal:
            await self._attempts.succeeded(attempt)
            raise
        if user is None or not right:
            raise refusals.CredentialsInvalid("password.wrong")
        await self._attempts.succeeded(attempt)
        await self._accounts.rehash(user, credentials.password)
        return user
