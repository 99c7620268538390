from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Self

import strawberry

from schema.loaders import Loaders
from services.assembly import Services
from services.branches import Wanted
from services.callers import Caller
from services.errors import Unauthenticated


@dataclass(eq=False)
class Context:
    """What a resolver may ask of the request that it is answering."""

    caller: Caller
    services: Services
    again: Callable[[], Awaitable[Caller]]
    _field: str = field(default="", init=False)
    _callers: dict[str, Caller] = field(default_factory=dict[str, Caller], init=False)
    _opened: dict[str, Loaders] = field(default_factory=dict[str, Loaders], init=False)

    @property
    def loaders(self) -> Loaders:
        """A query's own, or a root field's of a mutation; most requests need none."""
        opened = self._opened.get(self._field)
        if opened is None:
            opened = self._opened[self._field] = Loaders.open(self.services.batches)
        return opened

    async def begin(self, key: str) -> None:
        """
        A mutation's root field begins: what was read for the one before is no more so,
        who asks among it. They may have lost their role by that one, or while it ran.

        Who has signed out by the one before may log in by this one: a credential that
        counts no more counts as none.
        """
        if self._callers:
            try:
                self.caller = await self.again()
            except Unauthenticated as error:
                self.caller = Caller(self.caller.origin, reason=error.reason)
        self._callers[key] = self.caller
        self._field = key

    def show_again(self, key: str) -> None:
        """A root field is shown once more: as it was read, and to whom, then."""
        self.caller = self._callers[key]
        self._field = key

    def __copy__(self) -> Self:
        """With nothing read yet."""
        return replace(self)


class Info(strawberry.Info[Context, None]):
    """
    A field that is being resolved, and the request that it is part of.

    :param wanted: what somebody will look at of a list's rows; None where that is not
        known, and all of their fields may be.
    """

    wanted: Wanted | None = None
