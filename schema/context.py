from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import strawberry

from schema.loaders import Loaders
from services.assembly import Services
from services.branches import Wanted
from services.callers import Caller


@dataclass(eq=False)
class Context:
    """What a resolver may ask of the request that it is answering."""

    caller: Caller
    services: Services
    _field: str = field(default="", init=False)
    _opened: dict[str, Loaders] = field(default_factory=dict[str, Loaders], init=False)

    @property
    def loaders(self) -> Loaders:
        """A query's own, or a root field's of a mutation; most requests need none."""
        opened = self._opened.get(self._field)
        if opened is None:
            opened = self._opened[self._field] = Loaders.open(self.services.batches)
        return opened

    def begin(self, key: str) -> None:
        """
        A mutation's root field begins: what was read for the one before is no more so.

        Where it is shown once more, it is shown as it was read then.
        """
        self._field = key

    def __copy__(self) -> Self:
        """With nothing read yet."""
        return self.of(self.caller, self.services)

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
