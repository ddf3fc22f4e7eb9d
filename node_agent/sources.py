"""Where content may come from, and where this node's own goes. Nobody is believed: CIDs are."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog

from commonweal.adapters.content.fetching import ContentFetcher
from commonweal.adapters.http import is_endpoint
from commonweal.errors import CommonwealError
from commonweal.protocol.types import Address
from node_agent.chainlog import ChainLog

log = structlog.get_logger(__name__)
_KEPT_SECONDS = 2.0  # of announcements: each update fetched would look at the chain anew


class ContentSources:
    """Coordinators and configured gateways first, then every endpoint announced on chain."""

    def __init__(
        self,
        fixed: Sequence[str],
        log_: ChainLog,
        provider: Address,
        head: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._announced: tuple[str, ...] = ()
        self._read_at = float("-inf")
        self._fixed = tuple(url.rstrip("/") for url in fixed)
        self._log = log_
        self._provider = provider
        self._head = head

    def __call__(self) -> Sequence[str]:
        if self._clock() - self._read_at >= _KEPT_SECONDS:
            self._read_announced()
        return tuple(dict.fromkeys((*self._fixed, *self._announced)))

    def _read_announced(self) -> None:
        try:
            announced = self._log.announcements(self._head())
        except CommonwealError as error:
            log.warning("announced endpoints cannot be read", code=error.code)
            return
        self._announced = tuple(
            announcement.endpoint.rstrip("/")
            for provider, announcement in announced.items()
            if provider != self._provider and is_endpoint(announcement.endpoint)
        )
        self._read_at = self._clock()


class Publisher:
    """Copies what this node publishes to the coordinators: it may itself sit behind a NAT."""

    def __init__(self, fetcher: ContentFetcher, targets: Sequence[str]) -> None:
        self._fetcher = fetcher
        self._targets = tuple(targets)

    def publish(self, cid: str, *, is_new: bool = False) -> int:
        """Returns how many took it. The node serves it in any case, so none is not an error.

        `is_new`: made here and shown to nobody before.
        """
        return sum(self._push(cid, target, is_new) for target in self._targets)

    def _push(self, cid: str, target: str, is_new: bool) -> bool:
        try:
            self._fetcher.push(cid, target, is_new=is_new)
        except CommonwealError as error:
            log.warning("content not taken", cid=cid, target=target, code=error.code)
            return False
        return True
