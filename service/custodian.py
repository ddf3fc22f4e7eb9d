"""Keeps the content that the chain names, and makes room by dropping what nobody named in time.

Anybody may upload blocks; only what a job, an update or a model refers to stays for good.
"""

from __future__ import annotations

import time

import structlog

from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.store import ContentCorrupt, ContentNotFound
from commonweal.protocol.manifests import manifest_cid
from commonweal.protocol.types import Digest
from service.repository import Repository

log = structlog.get_logger(__name__)
_NEARLY_FULL = 0.9
_PAUSE_SECONDS = 60.0  # a collection walks everything that is kept


class Custodian:
    def __init__(
        self, store: EmbeddedStore, repository: Repository, *, grace_seconds: float
    ) -> None:
        """`grace_seconds`: how long an upload is safe before the chain names it."""
        self._store = store
        self._repository = repository
        self._grace_seconds = grace_seconds
        self._collected_at = float("-inf")

    def is_due(self) -> bool:
        rested = time.monotonic() - self._collected_at >= _PAUSE_SECONDS
        return rested and self._store.compute_fill() >= _NEARLY_FULL

    def collect(self) -> int:
        """Pins what the chain names, drops the rest; returns the bytes freed."""
        self._collected_at = time.monotonic()
        for digest in self._repository.fetch_named_digests():
            self._keep(manifest_cid(Digest(digest)))
        return self._store.collect_garbage(grace_seconds=self._grace_seconds)

    def _keep(self, cid: str) -> None:
        if self._store.is_pinned(cid):
            return
        try:
            self._store.pin(cid)
        except (ContentNotFound, ContentCorrupt) as error:
            log.debug("named content is not here", cid=cid, code=error.code)
