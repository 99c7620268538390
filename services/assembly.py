"""Every service, put together once when the house is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import wecom
from services.access_tokens import AccessTokens
from services.accounts import Accounts
from services.api_keys import ApiKeys
from services.apps import Apps
from services.associations import Associations
from services.attempts import Attempts
from services.audit import Audit
from services.authentication import Authentication
from services.batches import Batches
from services.bindings import Bindings
from services.clock import Clock, now
from services.connection_test import ConnectionTest
from services.directory import Directory
from services.endings import Endings
from services.entrances import Entrances
from services.freshness import Freshness
from services.keys import Keys
from services.linking import Linking
from services.links import Links
from services.lists import Lists
from services.login import Login
from services.members import Members
from services.outcomes import Outcomes
from services.password_changes import PasswordChanges
from services.password_sign_in import PasswordSignIn
from services.passwords import Passwords
from services.previews import Previews
from services.problems import Problems
from services.proofs import Proofs
from services.pruning import Pruning
from services.rates import Rates
from services.refresh_tokens import RefreshTokens
from services.refreshing import Refreshing
from services.resealing import Resealing
from services.reservations import Reservations
from services.sessions import Sessions
from services.settings import Policy
from services.sources import Sources
from services.states import States
from services.tickets import Tickets
from services.vault import Vault
from services.wecom_tokens import WecomTokens


@dataclass(frozen=True, slots=True)
class Services:
    """What resolvers and the command call: a service for each noun."""

    accounts: Accounts
    api_keys: ApiKeys
    apps: Apps
    associations: Associations
    audit: Audit
    authentication: Authentication
    batches: Batches
    bindings: Bindings
    clock: Clock
    connection_test: ConnectionTest
    directory: Directory
    endings: Endings
    keys: Keys
    linking: Linking
    lists: Lists
    login: Login
    outcomes: Outcomes
    password_changes: PasswordChanges
    password_sign_in: PasswordSignIn
    passwords: Passwords
    previews: Previews
    pruning: Pruning
    refreshing: Refreshing
    resealing: Resealing
    sources: Sources
    wecom_client: wecom.Client

    async def close(self) -> None:
        """Let go of what lies outside the process."""
        self.passwords.close()
        await self.wecom_client.aclose()


def assemble(
    policy: Policy,
    *,
    vault: Vault,
    wecom_url: str,
    wecom_timeout: float = 5.0,
    clock: Clock = now,
    observe: Callable[[str, str, float], None] | None = None,
    outcomes: Outcomes | None = None,
) -> Services:
    """The services, each handed what it needs."""
    audit = Audit(clock=clock)
    keys = Keys(vault=vault, clock=clock)
    wecom_tokens = WecomTokens(vault=vault, clock=clock)
    client = wecom.Client(
        base_url=wecom_url,
        timeout=wecom_timeout,
        store=wecom_tokens,
        clock=clock,
        observe=observe,
    )
    problems = Problems(clock=clock)
    members = Members(client=client, vault=vault, problems=problems, clock=clock)
    rates = Rates(
        clock=clock,
        per_address=policy.rate_per_address,
        per_source=policy.rate_per_source,
    )
    passwords, attempts = Passwords(), Attempts(clock=clock)
    freshness = Freshness(clock=clock, audit=audit)
    accounts = Accounts(audit=audit, clock=clock, passwords=passwords)
    api_keys = ApiKeys(audit=audit, clock=clock)
    access_tokens = AccessTokens(keys=keys, clock=clock, issuer=policy.issuer)
    refresh_tokens = RefreshTokens(keys=keys, clock=clock)
    sessions = Sessions(
        clock=clock, access_tokens=access_tokens, refresh_tokens=refresh_tokens
    )
    states = States(keys=keys, clock=clock)
    reservations = Reservations(clock=clock)
    links = Links(clock=clock, audit=audit, accounts=accounts)
    tickets = Tickets(clock=clock)
    proofs = Proofs(attempts=attempts, passwords=passwords)
    batches = Batches(clock=clock)
    entrances = Entrances()
    refreshing = Refreshing(
        clock=clock,
        audit=audit,
        rates=rates,
        refresh_tokens=refresh_tokens,
        sessions=sessions,
        members=members,
        entrances=entrances,
        recheck=policy.member_recheck,
    )
    return Services(
        accounts=accounts,
        api_keys=api_keys,
        apps=Apps(audit=audit, clock=clock),
        associations=Associations(audit=audit, clock=clock),
        audit=audit,
        authentication=Authentication(
            clock=clock, access_tokens=access_tokens, api_keys=api_keys
        ),
        batches=batches,
        bindings=Bindings(
            audit=audit,
            rates=rates,
            tickets=tickets,
            links=links,
            accounts=accounts,
            proofs=proofs,
            sessions=sessions,
        ),
        clock=clock,
        connection_test=ConnectionTest(
            audit=audit,
            client=client,
            members=members,
            problems=problems,
            clock=clock,
        ),
        directory=Directory(batches=batches),
        endings=Endings(clock=clock, audit=audit, refreshing=refreshing),
        keys=keys,
        linking=Linking(
            clock=clock,
            audit=audit,
            rates=rates,
            states=states,
            reservations=reservations,
            members=members,
            problems=problems,
            links=links,
            freshness=freshness,
        ),
        lists=Lists(),
        login=Login(
            clock=clock,
            audit=audit,
            rates=rates,
            states=states,
            reservations=reservations,
            members=members,
            problems=problems,
            links=links,
            tickets=tickets,
            sessions=sessions,
            entrances=entrances,
        ),
        outcomes=outcomes or Outcomes(),
        password_changes=PasswordChanges(
            audit=audit,
            clock=clock,
            passwords=passwords,
            attempts=attempts,
            freshness=freshness,
        ),
        password_sign_in=PasswordSignIn(
            audit=audit,
            rates=rates,
            accounts=accounts,
            proofs=proofs,
            links=links,
            sessions=sessions,
        ),
        passwords=passwords,
        previews=Previews(links=links),
        pruning=Pruning(
            clock=clock,
            audit=audit,
            attempts=attempts,
            rates=rates,
            keys=keys,
            wecom_tokens=wecom_tokens,
            audit_kept=policy.audit_kept,
        ),
        refreshing=refreshing,
        resealing=Resealing(vault=vault, keys=keys),
        sources=Sources(audit=audit, vault=vault, clock=clock),
        wecom_client=client,
    )
