"""A Kubo daemon as content store, through ipfshttpclient."""

from __future__ import annotations

from typing import BinaryIO

from commonweal.adapters.content.store import MAX_BLOCK_BYTES
from commonweal.protocol.cids import Codec


class KuboStore:
    def __init__(self, api_url: str, *, timeout: float = 60.0) -> None:
        """`api_url` is a multiaddress (/ip4/127.0.0.1/tcp/5001) or http://host:port."""
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
