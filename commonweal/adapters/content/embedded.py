"""The default store: verified blocks in a directory, safe for several threads and processes."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from commonweal.adapters.content.store import MAX_BLOCK_BYTES
from commonweal.protocol.cids import Codec


class EmbeddedStore:
    def __init__(self, path: Path, max_bytes: int | None = None) -> None:
        """`max_bytes` bounds the sum of all blocks' sizes; beyond it puts raise StoreFull."""
        raise NotImplementedError

    def put(self, data: bytes | BinaryIO) -> str:
        raise NotImplementedError

    def put_block(self, block: bytes, codec: Codec = "dag-cbor") -> str:
        raise NotImplementedError

    def get(self, cid: str, *, max_bytes: int) -> bytes:
        raise NotImplementedError

    def get_block(self, cid: str, *, max_bytes: int = MAX_BLOCK_BYTES) -> bytes:
        raise NotImplementedError

    def pin(self, cid: str) -> None:
        raise NotImplementedError

    def unpin(self, cid: str) -> None:
        raise NotImplementedError

    def has(self, cid: str) -> bool:
        raise NotImplementedError

    def collect_garbage(self, *, grace_seconds: float = 3600.0) -> int:
        """Deletes blocks that no pin holds and that were last put longer ago than the grace.

        Returns the bytes freed. The grace protects what is put but not pinned yet.
        """
        raise NotImplementedError
