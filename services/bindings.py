"""Ask to bind: what a person does with a ticket (binding rules 6)."""

from __future__ import annotations

from dataclasses import dataclass, field

from models import App, BindingMethod, BindingTicket, User, database, ids
from services import attempts, binding, entrances, refusals
from services.accounts import Accounts
from services.attempts import Attempts
from services.audit import Audit, Trail
from services.binding import Decision, Facts
from services.callers import Caller
from services.entrances import Entrance
from services.links import ATTEMPTS, Changed, Links, rules_of
from services.passwords import Passwords
from services.profiles import Profile
from services.rates import Rates
from services.sessions import Device, LoggedIn, Sessions
from services.tickets import Tickets


@dataclass(frozen=True, slots=True)
class Proof:
    """How somebody proves an existing account to be theirs."""

    method: BindingMethod
    account: str
    password: str = field(repr=False)


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
        attempts: Attempts,
        passwords: Passwords,
        sessions: Sessions,
    ) -> None:
        self._audit = audit
        self._rates = rates
        self._tickets = tickets
        self._links = links
        self._accounts = accounts
        self._attempts = attempts
        self._passwords = passwords
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
            refused = binding.decide_method(rules_of(entrance.source), proof.method)
            if refused and refused.refusal:
                raise refused.refusal(refused.rule)
            user = await self._prove(caller, trail, ticket, proof)
            return await self._bind(caller, ticket, entrance, user, device)

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
            ticket, entrance = await self._enter(caller, trail, app_id, ticket_text)
            return await self._bind(caller, ticket, entrance, None, device)

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
            raise refusals.TicketInvalid("ticket.of_another_app")
        trail.corp_id, trail.wecom_user_id = ticket.issuer, ticket.subject
        trail.identity_source_id = ticket.identity_source_id
        return ticket, await entrances.by_ids(app_id, ticket.identity_source_id)

    async def _prove(
        self, caller: Caller, trail: Trail, ticket: BindingTicket, proof: Proof
    ) -> User:
        user, typed = await self._accounts.find_for_binding(proof.method, proof.account)
        key = attempts.account_key(user, typed)
        attempt = await self._attempts.begin(key, caller.origin.ip_address)
        try:
            right = await self._compare(ticket, user, proof.password)
        except refusals.Refusal:
            await self._attempts.succeeded(attempt)
            raise
        if user is None or not right:
            raise refusals.CredentialsInvalid("password.wrong")
        await self._attempts.succeeded(attempt)
        await self._tickets.take_back(ticket)
        await self._accounts.rehash(user, proof.password)
        trail.subject = ids.show(ids.USER, user.id)
        return user

    async def _compare(
        self, ticket: BindingTicket, user: User | None, password: str
    ) -> bool:
        await self._tickets.guess(ticket)
        try:
            hash = user.password_hash if user else None
            return await self._passwords.verify(hash, password)
        except refusals.Refusal:
            # The queue is full: nobody looked at the password.
            await self._tickets.take_back(ticket)
            raise

    async def _bind(
        self,
        caller: Caller,
        ticket: BindingTicket,
        entrance: Entrance,
        user: User | None,
        device: Device | None,
    ) -> LoggedIn:
        profile = Profile.stored(ticket.profile)
        for _ in range(ATTEMPTS):
            decision = await self._decide(entrance, profile, user)
            if decision.refusal:
                raise decision.refusal(decision.rule)
            try:
                return await self._open(
                    caller, ticket, entrance, profile, decision, device=device
                )
            except (database.Taken, Changed):
                continue
        raise database.DatabaseUnavailable

    async def _decide(
        self, entrance: Entrance, profile: Profile, user: User | None
    ) -> Decision:
        rules = rules_of(entrance.source)
        facts = await self._facts(entrance.app, entrance, profile)
        if user is None:
            return binding.decide_new_account(rules, facts)
        # Anew each time: disabled or linked since, it must not slip through.
        current = await User.get_or_none(id=user.id)
        if current is None:
            raise refusals.CredentialsInvalid("account.deleted_meanwhile")
        [account] = await self._links.accounts([current])
        return binding.decide_existing_account(facts, account)

    async def _facts(self, app: App, entrance: Entrance, profile: Profile) -> Facts:
        source = entrance.source
        holder = await self._links.holder(source.corp_id, profile.subject)
        linked = (await self._links.accounts([holder.user]))[0] if holder else None
        return Facts(source.corp_id, app.allow_sign_up, linked=linked)

    async def _open(
        self,
        caller: Caller,
        ticket: BindingTicket,
        entrance: Entrance,
        profile: Profile,
        decision: Decision,
        *,
        device: Device | None,
    ) -> LoggedIn:
        app, source = entrance.app, entrance.source
        if decision.resolution is None:
            raise TypeError(decision)
        async with database.transaction():
            await self._tickets.use(ticket)
            user, identity = await self._links.carry_out(
                caller, decision, entrance, profile
            )
            session, issued = await self._sessions.open(
                caller,
                user,
                app,
                decision.resolution,
                device=device,
                identity_id=identity.id,
                identity_source_id=source.id,
            )
            await self._audit.record(
                caller,
                "login.succeeded",
                by=user,
                subject=ids.show(ids.USER, user.id),
                app_id=app.id,
                identity_source_id=source.id,
                rule=decision.rule,
                corp_id=source.corp_id,
                wecom_user_id=profile.user_id,
            )
        tokens = await self._sessions.tokens(session, app, issued.text)
        return LoggedIn(session, user, app, tokens)
