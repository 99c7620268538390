"""
TypeIDs of a whole column, all at once.

A page of a list shows hundreds of ids, and one by one each takes 13 steps of Python: a
quarter of a page of fifty sources with three apps each. Here all of them stand side by
side in one large number, 32 bytes for each, and are spread from 5 bits to a byte by
halves, in five steps whatever their count: 128 µs instead of 346 µs for 200 ids.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from uuid import UUID

_DIGITS = b"0123456789abcdefghjkmnpqrstvwxyz"
_AS_TEXT = _DIGITS + bytes(256 - len(_DIGITS))

# An id's 160 bits (32 digits of 5, the first six of them nought) lie at the end of its
# 256. Each step cuts every field of so many bits into halves of so many digits' bits,
# and moves the upper half to the middle of its field.
_BYTES = 32
_STEPS = ((256, 80), (128, 40), (64, 20), (32, 10), (16, 5))
_SUFFIX = 26


def show(prefix: str, ids: Sequence[UUID]) -> list[str]:
    """What `models.ids.show` says of each."""
    padding = bytes(_BYTES - 16)
    number = int.from_bytes(b"".join([padding + id.bytes for id in ids]))
    for lower, upper, by in _masks(len(ids)):
        number = (number & lower) | ((number & upper) << by)
    length = _BYTES * len(ids)
    text = number.to_bytes(length).translate(_AS_TEXT).decode()
    head = f"{prefix}_"
    ends = range(_BYTES, length + 1, _BYTES)
    return [head + text[end - _SUFFIX : end] for end in ends]


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
