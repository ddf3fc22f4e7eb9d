"""How much one identity may upload: what the chain has not named in time is dropped again, so
nobody fills the store with less than several identities."""

from __future__ import annotations

import math

from commonweal.errors import Unavailable
from service.buckets import Buckets


class QuotaSpent(Unavailable):
    code = "upload-quota-spent"


class UploadQuota:
    """Safe to share between threads."""

    def __init__(self, limit: int, seconds: float) -> None:
        """`limit`: bytes at once, and again in `seconds`."""
        self._limit = limit
        self._buckets = Buckets(limit / max(seconds, 1.0), limit)

    def spend(self, identity: str, size: int) -> None:
        """Raises QuotaSpent."""
        if (seconds := self._buckets.take(identity, size)) > 0:
            wait = math.ceil(seconds)
            text = f"more than {self._limit} bytes from you; these may come in {wait} s"
            raise QuotaSpent(text, limit=self._limit, size=size, seconds=wait)
