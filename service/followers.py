"""How many may follow events at once: each costs a connection, and a look at every change."""

from __future__ import annotations

import threading

from commonweal.errors import Unavailable


class TooManyFollowers(Unavailable):
    code = "too-many-followers"


class Followers:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._count = 0

    def enter(self) -> None:
        """Raises TooManyFollowers."""
        with self._lock:
            if self._count >= self._limit:
                message = f"{self._limit} follow already; the same events can be asked for later"
                raise TooManyFollowers(message, limit=self._limit)
            self._count += 1

    def leave(self) -> None:
        with self._lock:
            self._count -= 1
