"""Fetching content from several untrusted gateways into a store, and pushing it to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import httpx

from commonweal.adapters.content.store import ContentStore
from commonweal.protocol.manifests import Manifest
from commonweal.protocol.types import Digest


class ContentFetcher:
    """Safe to share between threads. Sources are base URLs of Trustless Gateways, best first."""

    def __init__(
        self,
        store: ContentStore,
        sources: Callable[[], Sequence[str]],
        *,
        client: httpx.Client | None = None,
        block_seconds: float = 30.0,
        attempts: int = 3,
        threads: int = 4,
    ) -> None:
        raise NotImplementedError

    def fetch(self, cid: str, *, max_bytes: int) -> bytes:
        """A whole file (or one dag-cbor block): from the store, else from any source that has it.

        Raises ContentNotFound (no source gave it), ContentTooLarge, ContentCorrupt, StoreFull.
        """
        raise NotImplementedError

    def fetch_manifest(self, digest: Digest) -> Manifest:
        """Raises InvalidManifest too."""
        raise NotImplementedError

    def push(self, cid: str, to: str) -> int:
        """Uploads a pinned thing's blocks, leaves first. Returns how many the other lacked."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
