"""A long-lived program's garbage goes all the same."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from commonweal.garbage import collect_seldom


@pytest.fixture(autouse=True)
def _own_settings() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


class Ring:
    def __init__(self) -> None:
        self.itself = self


def test_what_is_there_is_not_looked_through_and_what_comes_is_still_collected() -> None:
    collect_seldom()
    assert gc.get_freeze_count() > 1_000
    gone = weakref.ref(Ring())
    made = [Ring() for _ in range(20_000)]  # alive: garbage must be found by counting objects
    assert gone() is None
    assert len(made) == 20_000
