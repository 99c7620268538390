"""Moments as text: RFC 3339, strictly."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import strawberry

_RFC3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})",
    re.ASCII,
)
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


def show(moment: datetime) -> str:
    """`moment` in UTC with three decimals, whatever its zone."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def read(text: object) -> datetime:
    """
    The moment that `text` names, cut to the millisecond.

    Without an offset it would be a different moment in every office.

    :raises ValueError: it is not RFC 3339, or lies before 1970 or after 9999.
    """
    if not isinstance(text, str) or not _RFC3339.fullmatch(text):
        raise ValueError(
            "A DateTime is RFC 3339 with an offset, e.g. 2026-11-23T08:00:00.000Z."
        )
    try:
        moment = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("This DateTime does not exist.") from None
    if moment < _EARLIEST:
        raise ValueError("A DateTime lies between 1970 and 9999.")
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


DATE_TIME = strawberry.scalar(
    name="DateTime",
    serialize=show,
    parse_value=read,
    description="A moment, RFC 3339. Out: UTC with exactly three decimals, e.g."
    " `2026-11-23T08:00:00.000Z`. In: any offset, but there must be one; cut to the"
    " millisecond; 1970 to 9999.",
)
