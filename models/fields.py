"""Column types that Tortoise lacks, and what a column can hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tortoise import fields
from tortoise.models import Model

if TYPE_CHECKING:
    Instant = fields.DatetimeField
else:

    class Instant(fields.DatetimeField):
        """
        A moment, in UTC, to the millisecond: `timestamptz`, or ISO 8601 text in SQLite.

        Tortoise's own field parses text with iso8601, ten times slower than Python.
        """

        def to_python_value(self, value: Any) -> datetime | None:
            if value is None or isinstance(value, datetime):
                return value
            return datetime.fromisoformat(value)

        def to_db_value(self, value: Any, instance: Any) -> datetime | None:
            return value and value.astimezone(UTC)


def holds(model: type[Model], column: str, value: object) -> bool:
    """
    Whether some row's `column` could be `value`.

    Tortoise raises where one that is longer than its column is merely looked for, and
    PostgreSQL where it holds a NUL or half of a surrogate pair.
    """
    if not isinstance(value, str):
        return value is not None
    field: Any = model._meta.fields_map[column]
    longest = getattr(field, "max_length", None)
    return is_storable(value) and (longest is None or len(value) <= longest)


def is_storable(text: str) -> bool:
    """PostgreSQL stores no NUL, and neither database half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)
