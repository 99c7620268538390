"""What a test measured, for `docs/reliability.md`; no test asserts on it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

Figure = Callable[[str, object], None]
FIGURES = pytest.StashKey[list[tuple[str, str, object]]]()


class Stopwatch:
    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> str:
        return f"{time.monotonic() - self._began:.2f} s"
