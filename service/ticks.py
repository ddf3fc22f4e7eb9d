"""Lets a few threads wait for the loop's next look at the chain; the others are not kept."""

from __future__ import annotations

import threading
from collections.abc import Callable

MOST_WAITING = 8  # of the threads that answer requests, of which there are forty


class Ticks:
    """Counts the loop's looks at the chain."""

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._condition = threading.Condition()
        self._places = threading.BoundedSemaphore(most_waiting)
        self._count = 0
        self._is_stopped = False

    def note(self) -> None:
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def stop(self) -> None:
        with self._condition:
            self._is_stopped = True
            self._condition.notify_all()

    def wait(self, timeout: float, until: Callable[[], bool] = lambda: True) -> bool:
        """Whether a look that began after this call has ended, and `until` holds after one.

        Not if `timeout` seconds were too few for it, or at once if enough others wait already.
        """
        if not self._places.acquire(blocking=False):
            return False
        try:
            return self._wait(timeout, until)
        finally:
            self._places.release()

    def _wait(self, timeout: float, until: Callable[[], bool]) -> bool:
        with self._condition:
            target = self._count + 2  # one look may be half done

            def is_done() -> bool:
                return self._count >= target and until()

            self._condition.wait_for(lambda: is_done() or self._is_stopped, timeout)
            return is_done()
