from __future__ import annotations

import gc
from collections.abc import Generator

import pytest

from hefu import garbage


@pytest.fixture(autouse=True)
def usual() -> Generator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_garbage_is_looked_for_seldom_and_never_among_what_was_imported() -> None:
    garbage.look_seldom()
    assert gc.isenabled()
    assert gc.get_threshold()[0] == garbage.MORE_THAN_FREED
    assert gc.get_freeze_count() > garbage.MORE_THAN_FREED
