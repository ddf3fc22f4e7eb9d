"""Garbage collection for programs that stay: Python's own looks through all of torch and web3."""

from __future__ import annotations

import gc

_NEW_OBJECTS = 10_000  # between collections; Python's default is 700


def collect_seldom() -> None:
    """Called once all is loaded: that is kept for good, and what comes later is looked at less."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 10, 10)
