"""Lets a few threads wait for the loop's next look at the chain; the others are not kept."""

from __future__ import annotations

import threading
from collections.abc import Callable

MOST_WAITING = 8  # of the threads that answer requests, of which there are forty


class Ticks:
    """The ends of the loop's looks at the chain."""

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._condition = threading.Condition()
        self._places = threading.BoundedSemaphore(most_waiting)
        self._is_stopped = False

    def note(self) -> None:
        """A look has ended."""
        with self._condition:
            self._condition.notify_all()

    def stop(self) -> None:
        with self._condition:
            self._is_stopped = True
            self._condition.notify_all()

    def wait(self, timeout: float, until: Callable[[], bool]) -> bool:
        """Whether `until` holds, after as many looks as it takes.

        Not if `timeout` seconds were too few for it, or at once if enough others wait already.
        """
        if not self._places.acquire(blocking=False):
            return False
        try:
            with self._condition:
                self._condition.wait_for(lambda: until() or self._is_stopped, timeout)
                return until()
        finally:
            self._places.release()
