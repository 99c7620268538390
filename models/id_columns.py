"""
TypeIDs of a whole column, all at once.

A page of a list shows hundreds of ids, and one by one each takes 13 steps of Python: a
quarter of a page of fifty sources with three apps each. Here all of them stand side by
side in one large number, 32 bytes for each, and are spread from 5 bits to a byte by
halves, in five steps whatever their count: 50 to 60 µs instead of 346 µs for 200 ids.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from operator import attrgetter
from uuid import UUID

_DIGITS = b"0123456789abcdefghjkmnpqrstvwxyz"
# What is no digit's number is the prefix', or stands before it.
_AS_TEXT = _DIGITS + bytes(range(len(_DIGITS), 256))

# An id's 160 bits (32 digits of 5, the first six of them nought) lie at the end of its
# 256. Each step cuts every field of so many bits into halves of so many digits' bits,
# and moves the upper half to the middle of its field.
_BYTES = 32
_STEPS = ((256, 80), (128, 40), (64, 20), (32, 10), (16, 5))
_SUFFIX = 26
_PADDING = bytes(_BYTES - 16)

_bytes_of = attrgetter("bytes")


def show(prefix: str, ids: Sequence[UUID]) -> list[str]:
    """What `models.ids.show` says of each."""
    number = int.from_bytes(_PADDING + _PADDING.join(map(_bytes_of, ids)))
    for lower, upper, by in _masks(len(ids)):
        number = (number & lower) | ((number & upper) << by)
    text = (number | _heads(prefix, len(ids))).to_bytes(_BYTES * len(ids))
    return text.translate(_AS_TEXT).decode().split()


# A level has as many rows as it happens to have: at most a few thousand of 100 bytes.
@functools.lru_cache(maxsize=32)
def _masks(count: int) -> list[tuple[int, int, int]]:
    """For each step: the lower halves, the upper ones, and how far these move."""
    found: list[tuple[int, int, int]] = []
    for field, bits in _STEPS:
        fields = _BYTES * 8 * count // field
        one = ((1 << bits) - 1).to_bytes(field // 8)
        lower = int.from_bytes(one * fields)
        found.append((lower, lower << bits, field // 2 - bits))
    return found


@functools.lru_cache(maxsize=32)
def _heads(prefix: str, count: int) -> int:
    """In place of each first six noughts: blanks, then the prefix."""
    head = f"{prefix}_".rjust(_BYTES - _SUFFIX).encode()
    return int.from_bytes((head + bytes(_SUFFIX)) * count)
