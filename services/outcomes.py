"""How logins, their starts and refreshes end, for whoever counts them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from models import database
from services.login import Asked
from services.refusals import Refusal

T = TypeVar("T")


def _ignore(outcome: str, seconds: float) -> None:
    """Nobody counts."""


class Outcomes:
    """
    Tells of each login, start of one and refresh how it ended and what it took.

    An outcome is one of our own words, never a caller's: a refusal's code, SUCCESS,
    BINDING_REQUIRED, UNAVAILABLE, and INTERNAL for what was cancelled or is a bug.
    """

    def __init__(
        self,
        *,
        logins: Callable[[str, float], None] = _ignore,
        starts: Callable[[str, float], None] = _ignore,
        refreshes: Callable[[str, float], None] = _ignore,
    ) -> None:
        self._logins = logins
        self._starts = starts
        self._refreshes = refreshes

    async def login(self, work: Awaitable[T]) -> T:
        return await _told(work, self._logins)

    async def start(self, work: Awaitable[T]) -> T:
        return await _told(work, self._starts)

    async def refresh(self, work: Awaitable[T]) -> T:
        return await _told(work, self._refreshes)


async def _told(work: Awaitable[T], tell: Callable[[str, float], None]) -> T:
    began = time.perf_counter()
    outcome = "INTERNAL"
    try:
        result = await work
    except Refusal as refusal:
        outcome = str(refusal.code)
        raise
    except database.DatabaseUnavailable:
        outcome = "UNAVAILABLE"
        raise
    else:
        outcome = "BINDING_REQUIRED" if isinstance(result, Asked) else "SUCCESS"
        return result
    finally:
        tell(outcome, time.perf_counter() - began)
