from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import strawberry

from schema.loaders import Loaders
from services.assembly import Services
from services.branches import Wanted
from services.callers import Caller


@dataclass(frozen=True)
class Context:
    """What a resolver may ask of the request that it is answering."""

    caller: Caller
    services: Services

    @cached_property
    def loaders(self) -> Loaders:
        """The request's own; most requests need none."""
        return Loaders.open(self.services.batches)

    @cached_property
    def _by_field(self) -> dict[str, Loaders]:
        return {}

    def begin(self, key: str) -> None:
        """
        A mutation's root field begins: what was read for the one before is no more so.

        Where it is shown once more, it is shown as it was read then.
        """
        opened = self._by_field.get(key) or Loaders.open(self.services.batches)
        vars(self)["loaders"] = self._by_field[key] = opened

    @classmethod
    def of(cls, caller: Caller, services: Services) -> Self:
        """The context of one request."""
        return cls(caller, services)


class Info(strawberry.Info[Context, None]):
    """
    A field that is being resolved, and the request that it is part of.

    :param wanted: what somebody will look at of a list's rows; None where that is not
        known, and all of their fields may be.
    """

    wanted: Wanted | None = None
