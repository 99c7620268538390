"""
Looking for garbage seldom.

Python looks for cycles whenever 700 more objects were made than freed. A page of fifty
sources with three apps each consists of as many, none of them in a cycle, and is looked
through while it is made: 17 % of what it took (470 of 2,860 µs, 16 at a time). What was
imported is never garbage, and need not be looked through at all.
"""

from __future__ import annotations

import gc

# Objects, of 100 bytes or so: half a megabyte. Looking through that once for seven such
# pages costs each of them some microseconds.
MORE_THAN_FREED = 5_000
# Of what has grown older as often as Python itself does, after 10,000 and 70,000.
OLDER = (2, 7)


def look_seldom() -> None:
    """In a process that has begun to serve."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(MORE_THAN_FREED, *OLDER)
