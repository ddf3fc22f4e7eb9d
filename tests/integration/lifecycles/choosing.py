"""How the rules choose what to do it to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st

T = TypeVar("T")

choices = st.integers(0, 2**16)


def pick(choice: int, likely: Sequence[T], anything: Sequence[T]) -> T:
    """Mostly something that will do, now and then whatever there is."""
    chosen = likely if likely and choice % 8 else anything
    return chosen[choice // 8 % len(chosen)]
