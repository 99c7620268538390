"""Every service, put together once when the house is opened."""

from __future__ import annotations

from dataclasses import dataclass

import wecom
from services.audit import Audit
from services.clock import Clock, now
from services.settings import Policy
from services.vault import Vault


@dataclass(frozen=True, slots=True)
class Services:
    """What resolvers call: a service for each noun."""

    audit: Audit


def assemble(
    policy: Policy, *, vault: Vault, wecom_client: wecom.Client, clock: Clock = now
) -> Services:
    """The services, each handed what it needs."""
    audit = Audit(clock=clock)
    return Services(audit=audit)
