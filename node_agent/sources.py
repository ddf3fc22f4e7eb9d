"""Where content may come from, and where this node's own goes. Nobody is believed: CIDs are."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import structlog

from commonweal.adapters.content.fetching import ContentFetcher
from commonweal.errors import CommonwealError
from commonweal.protocol.types import Address
from node_agent.chainlog import ChainLog

log = structlog.get_logger(__name__)
_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
MAX_ENDPOINT = 256


class ContentSources:
    """Coordinators and configured gateways first, then every endpoint announced on chain."""

    def __init__(
        self, fixed: Sequence[str], log_: ChainLog, provider: Address, head: Callable[[], int]
    ) -> None:
        self._fixed = tuple(url.rstrip("/") for url in fixed)
        self._log = log_
        self._provider = provider
        self._head = head

    def __call__(self) -> Sequence[str]:
        urls = dict.fromkeys(self._fixed)
        try:
            announced = self._log.announcements(self._head())
        except CommonwealError as error:
            log.warning("announced endpoints cannot be read", code=error.code)
            return tuple(urls)
        for provider, announcement in announced.items():
            if provider != self._provider and is_endpoint(announcement.endpoint):
                urls.setdefault(announcement.endpoint.rstrip("/"))
        return tuple(urls)


def is_endpoint(text: str) -> bool:
    return len(text) <= MAX_ENDPOINT and _URL.fullmatch(text) is not None


class Publisher:
    """Copies what this node publishes to the coordinators: it may itself sit behind a NAT."""

    def __init__(self, fetcher: ContentFetcher, targets: Sequence[str]) -> None:
        self._fetcher = fetcher
        self._targets = tuple(targets)

    def publish(self, cid: str) -> int:
        """Returns how many took it. The node serves it in any case, so none is not an error."""
        return sum(self._push(cid, target) for target in self._targets)

    def _push(self, cid: str, target: str) -> bool:
        try:
            self._fetcher.push(cid, target)
        except CommonwealError as error:
            log.warning("content not taken", cid=cid, target=target, code=error.code)
            return False
        return True
