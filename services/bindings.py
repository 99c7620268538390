"""Ask to bind: what a person does with a ticket (binding rules 6)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from models import BindingMethod, BindingTicket, User, database, ids
from services import binding, entrances, proofs
from services.accounts import Accounts
from services.audit import Audit, Trail
from services.binding import BindExisting, BindNew, Decision, Facts
from services.callers import Caller
from services.entrances import Entrance
from services.links import ATTEMPTS, Changed, Links, rules_of
from services.profiles import Profile
from services.proofs import Proofs
from services.rates import Rates
from services.refusals import CredentialsInvalid, TicketInvalid
from services.sessions import Device, LoggedIn, Sessions
from services.tickets import Tickets


@dataclass(frozen=True, slots=True)
class Proof:
    """How somebody proves an existing account to be theirs."""

    method: BindingMethod
    account: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Proven:
    """An account whose password was right, as it was then."""

    user: User
    method: BindingMethod


class Bindings:
    """Turns a ticket into a session, through an account old or new."""

    def __init__(
        self,
        *,
        audit: Audit,
        rates: Rates,
        tickets: Tickets,
        links: Links,
        accounts: Accounts,
        proofs: Proofs,
        sessions: Sessions,
    ) -> None:
        self._audit = audit
        self._rates = rates
        self._tickets = tickets
        self._links = links
        self._accounts = accounts
        self._proofs = proofs
        self._sessions = sessions

    async def to_existing(
        self,
        caller: Caller,
        app_id: str,
        ticket_text: str,
        proof: Proof,
        device: Device | None = None,
    ) -> LoggedIn:
        """
        Bind the ticket's member to the account that the person proves to be theirs.

        :raises Refusal: by `binding-rules.md`, section 6. What is not a wrong password
            leaves the ticket as it was.
        """
        trail = Trail(folded=False)
        async with self._audit.refusals(caller, trail):
            ticket, entrance = await self._enter(caller, trail, app_id, ticket_text)
            _allow(entrance, proof.method)
            user = await self._prove(caller, trail, ticket, proof)
            proven = _Proven(user, proof.method)
            result = await self._bind(caller, ticket, proven, device)
            await self._accounts.rehash(user, proof.password)
        return result

    async def to_new(
        self,
        caller: Caller,
        app_id: str,
        ticket_text: str,
        device: Device | None = None,
    ) -> LoggedIn:
        """
        Bind the ticket's member to an account that is created for them.

        :raises Refusal: by `binding-rules.md`, section 6.
        """
        trail = Trail(folded=False)
        async with self._audit.refusals(caller, trail):
            ticket, _ = await self._enter(caller, trail, app_id, ticket_text)
            return await self._bind(caller, ticket, None, device)

    async def _enter(
        self, caller: Caller, trail: Trail, app_id: str, text: str
    ) -> tuple[BindingTicket, Entrance]:
        trail.app_id = ids.read(ids.APP, app_id)
        trail.folded = True
        app = await entrances.enabled_app(app_id)
        await self._rates.check(caller, None)
        ticket = await self._tickets.find(text)
        trail.folded = False
        # Proof that was gathered in one app must not open another.
        if ticket.app_id != app.id:
            raise TicketInvalid("ticket.of_another_app")
        trail.identity_source_id = ticket.identity_source_id
        trail.corp_id = ticket.issuer
        trail.wecom_user_id = Profile.stored(ticket.profile).user_id
        return ticket, await entrances.by_ids(app_id, ticket.identity_source_id)

    async def _prove(
        self, caller: Caller, trail: Trail, ticket: BindingTicket, proof: Proof
    ) -> User:
        found = await self._accounts.find_for_binding(proof.method, proof.account)
        await self._tickets.guess(ticket)
        try:
            user = await self._proofs.check(caller, trail, found, proof.password)
        except CredentialsInvalid:
            raise
        except Exception:
            # Nobody said that it was wrong.
            with suppress(database.DatabaseUnavailable):
                await self._tickets.take_back(ticket)
            raise
        await self._tickets.take_back(ticket)
        return user

    async def _bind(
        self,
        caller: Caller,
        ticket: BindingTicket,
        proven: _Proven | None,
        device: Device | None,
    ) -> LoggedIn:
        for _ in range(ATTEMPTS):
            try:
                return await self._open(caller, ticket, proven, device)
            except (database.Taken, Changed):
                continue
        raise database.DatabaseUnavailable

    async def _open(
        self,
        caller: Caller,
        ticket: BindingTicket,
        proven: _Proven | None,
        device: Device | None,
    ) -> LoggedIn:
        """
        Decide and do it, all at once: a hash takes its time, and by now the source may
        be disabled, the account another corp's, or the ticket used.
        """
        app_id = ids.show(ids.APP, ticket.app_id)
        profile = Profile.stored(ticket.profile)
        async with database.transaction():
            entrance = await entrances.by_ids(app_id, ticket.identity_source_id)
            await self._tickets.use(ticket)
            decision = await self._decide(entrance, profile, proven)
            if decision.refusal:
                raise decision.refusal(decision.rule)
            if decision.resolution is None:
                raise TypeError(decision)
            user, identity = await self._links.carry_out(
                caller, decision, entrance, profile
            )
            session, issued = await self._sessions.open(
                caller,
                user,
                entrance.app,
                decision.resolution,
                device=device,
                identity_id=identity.id,
                identity_source_id=entrance.source.id,
            )
            await self._audit.record(
                caller,
                "login.succeeded",
                by=user,
                subject=ids.show(ids.USER, user.id),
                app_id=entrance.app.id,
                identity_source_id=entrance.source.id,
                rule=decision.rule,
                corp_id=entrance.source.corp_id,
                wecom_user_id=profile.user_id,
            )
        tokens = await self._sessions.tokens(session, entrance.app, issued.text)
        return LoggedIn(session, user, entrance.app, tokens)

    async def _decide(
        self, entrance: Entrance, profile: Profile, proven: _Proven | None
    ) -> Decision:
        source = entrance.source
        rules = rules_of(source)
        if proven is None:
            facts = await self._facts(entrance, profile)
            return binding.decide(rules, facts, BindNew())
        user = proofs.recheck(proven.user, await self._links.lock(proven.user.id))
        [account] = await self._links.accounts([user])
        facts = await self._facts(entrance, profile)
        return binding.decide(rules, facts, BindExisting(proven.method, account))

    async def _facts(self, entrance: Entrance, profile: Profile) -> Facts:
        corp_id = entrance.source.corp_id
        linked = await self._links.linked(corp_id, profile.subject)
        return Facts(corp_id, entrance.app.allow_sign_up, linked=linked)


def _allow(entrance: Entrance, method: BindingMethod) -> None:
    """
    :raises MethodNotAllowed: before anything is hashed.
    """
    facts = Facts(entrance.source.corp_id, entrance.app.allow_sign_up)
    decision = binding.decide(rules_of(entrance.source), facts, BindExisting(method))
    if decision.refusal:
        raise decision.refusal(decision.rule)
