"""
Ids: a UUIDv7 in the database, a TypeID (`src_01kb…`) outside.

https://github.com/jetify-com/typeid/tree/main/spec
"""

from __future__ import annotations

import functools
from typing import Any
from uuid import UUID

from typeid import TypeID
from typeid.core.errors import TypeIDException
from uuid_utils import compat

SOURCE = "src"
APP = "app"
USER = "usr"
IDENTITY = "idn"
SESSION = "ses"
API_KEY = "key"
AUDIT_EVENT = "evt"

PREFIXES = frozenset({SOURCE, APP, USER, IDENTITY, SESSION, API_KEY, AUDIT_EVENT})

# A suffix is 26 digits of 5 bits; two at a time are 13 steps instead.
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]
_SHIFTS = range(120, -1, -10)

# "src_" and the 26 characters of a suffix: nothing longer is worth decoding.
_LENGTH = 30


def new() -> UUID:
    """A UUIDv7 (RFC 9562, 5.7): ids sort by the millisecond of their creation."""
    return compat.uuid7()


def uuid_of(value: Any) -> UUID:
    """An id as a driver gives it: SQLite's are texts."""
    return value if isinstance(value, UUID) else UUID(value)


@functools.lru_cache(maxsize=4096)
def show(prefix: str, id: UUID) -> str:
    """The TypeID of `id`; a request shows the same one several times."""
    number = id.int
    return f"{prefix}_" + "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])


def read(prefix: str, text: str) -> UUID | None:
    """
    The UUID in `text`; None where it is malformed or of another type.

    An id that cannot exist is simply not found, so that nobody learns from the answer
    which of the two it was.
    """
    found = parse(text)
    return found[1] if found and found[0] == prefix else None


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> tuple[str, UUID] | None:
    """The prefix and the UUID in `text`; None where it is no TypeID of ours."""
    if len(text) != _LENGTH or not text.isascii():
        return None
    try:
        typeid = TypeID.from_string(text)
    except TypeIDException:
        return None
    return (
        (typeid.prefix, UUID(str(typeid.uuid))) if typeid.prefix in PREFIXES else None
    )
