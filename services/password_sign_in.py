"""Signing in with a password, where an app allows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from models import App, LoginResolution, User, database, ids
from services import entrances, proofs, refusals
from services.accounts import Accounts
from services.audit import Audit, Trail
from services.callers import Caller
from services.links import Links, is_active
from services.proofs import Proofs
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
        proofs: Proofs,
        links: Links,
        sessions: Sessions,
    ) -> None:
        self._audit = audit
        self._rates = rates
        self._accounts = accounts
        self._proofs = proofs
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
            _allow(app)
            trail.folded = False
            user = await self._proofs.check(
                caller,
                trail,
                await self._accounts.find_for_sign_in(credentials.account),
                credentials.password,
            )
            result = await self._open(caller, app_id, user, device)
            await self._accounts.rehash(user, credentials.password)
        return result

    async def _open(
        self, caller: Caller, app_id: str, proven: User, device: Device | None
    ) -> LoggedIn:
        """A hash takes its time: app and account are looked at as they are now."""
        async with database.transaction():
            app = await entrances.enabled_app(app_id)
            _allow(app)
            user = proofs.recheck(proven, await self._links.lock(proven.id))
            if not is_active(user):
                raise refusals.AccountDisabled("password.account_disabled")
            await self._links.logged_in(user, None, None)
            session, issued = await self._sessions.open(
                caller, user, app, LoginResolution.PASSWORD, device=device
            )
            await self._audit.record(
                caller,
                "login.succeeded",
                by=user,
                subject=ids.show(ids.USER, user.id),
                app_id=app.id,
                rule="password.right",
            )
        tokens = await self._sessions.tokens(session, app, issued.text)
        return LoggedIn(session, user, app, tokens)


def _allow(app: App) -> None:
    """
    :raises MethodNotAllowed: off unless an administrator turned it on.
    """
    if not app.allow_password_sign_in:
        raise refusals.MethodNotAllowed("app.no_password_sign_in")
