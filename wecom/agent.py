from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Agent:
    """One WeCom app (自建应用) of one corp, with the secret that speaks for it."""

    corp_id: str
    agent_id: str
    secret: str = field(repr=False)
