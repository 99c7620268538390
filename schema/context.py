from __future__ import annotations

from dataclasses import dataclass

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


Info = strawberry.Info[Context, None]
