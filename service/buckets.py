"""One bucket for each identity, which fills again with time: of requests, or of bytes."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

_MOST_IDENTITIES = 50_000  # the longest silent are forgotten: their buckets are full by then


class Buckets:
    """Safe to share between threads."""

    def __init__(
        self, rate: float, burst: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`rate`: per second and identity in the long run; `burst`: at once."""
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._lock = threading.Lock()
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what is left, when

    def take(self, identity: str, cost: int = 1) -> float:
        """0 if what counts as `cost` may pass, otherwise the seconds until it may."""
        now, cost = self._clock(), min(cost, self._burst)  # whatever is full lets anything pass
        with self._lock:
            left, before = self._levels.pop(identity, (float(self._burst), now))
            left = min(self._burst, left + (now - before) * self._rate)
            is_allowed = left >= cost
            self._levels[identity] = (left - cost if is_allowed else left, now)
            if len(self._levels) > _MOST_IDENTITIES:
                self._levels.popitem(last=False)
        return 0.0 if is_allowed else (cost - left) / self._rate
