from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import strawberry

from schema.loaders import Loaders
from services.assembly import Services
from services.callers import Caller


@dataclass(frozen=True, slots=True)
class Context:
    """What a resolver may ask of the request that it is answering."""

    caller: Caller
    services: Services
    loaders: Loaders

    @classmethod
    def of(cls, caller: Caller, services: Services) -> Self:
        """The context of one request, with loaders of its own."""
        return cls(caller, services, Loaders.open(services.batches))


Info = strawberry.Info[Context, None]
