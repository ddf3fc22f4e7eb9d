"""How long a piece of work took, as one log line: what a round's time is split by.

Lines carry the wall clock, so that those of several processes on one machine fit together.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

Work = Literal["training", "content", "scoring", "chain"]
EVENT = "worked"
_LEAST_SECONDS = 0.001  # what is shorter is not worth its line


@contextmanager
def timed(log: Any, work: Work, **fields: object) -> Iterator[None]:
    """Logs `work`, when it began (epoch seconds) and its seconds, also when it fails."""
    began, started = time.time(), time.perf_counter()
    try:
        yield
    finally:
        seconds = time.perf_counter() - started
        if seconds >= _LEAST_SECONDS:
            log.info(EVENT, work=work, began=round(began, 4), seconds=round(seconds, 4), **fields)
