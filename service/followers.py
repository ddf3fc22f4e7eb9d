"""How many may follow events at once: each costs a connection, and a look at every change."""

from __future__ import annotations

import threading
from collections import Counter

from commonweal.errors import Unavailable

MOST_OF_ONE = 16  # streams of one address or API key


class TooManyFollowers(Unavailable):
    code = "too-many-followers"


class Followers:
    """Safe to share between threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def enter(self, identity: str) -> None:
        """Raises TooManyFollowers."""
        with self._lock:
            if self._counts.total() >= self._limit:
                message = f"{self._limit} follow already; the same events can be asked for later"
                raise TooManyFollowers(message, limit=self._limit)
            if self._counts[identity] >= MOST_OF_ONE:
                message = f"you follow {MOST_OF_ONE} streams already; end one first"
                raise TooManyFollowers(message, limit=MOST_OF_ONE)
            self._counts[identity] += 1

    def leave(self, identity: str) -> None:
        with self._lock:
            self._counts[identity] -= 1
            self._counts += Counter()  # only those that follow are remembered
