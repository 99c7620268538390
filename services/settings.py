"""What the services are told when the house is opened."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so many seconds; `limit` of None is no bound."""

    limit: int | None
    seconds: int


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that rules depend on; `hefu/settings.py` reads them."""

    issuer: str = "http://localhost:8000"
    member_recheck: timedelta = timedelta(hours=24)
    audit_kept: timedelta | None = timedelta(days=400)
    rate_per_address: Rate = Rate(600, 60)
    rate_per_source: Rate = Rate(3000, 60)
