"""Deterministic content, and hostile graphs made by hand."""

from __future__ import annotations

from hashlib import sha256
from io import RawIOBase

from commonweal.adapters.content.unixfs import CHUNK_BYTES
from commonweal.adapters.content.wire import encode_bytes, encode_varint
from commonweal.protocol.cids import Cid


class PatternStream(RawIOBase):
    """Byte i is sha256(uint64_be(i // 2**20))[i % 32]; never holds more than a chunk of it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._at = 0
        self.largest_read = 0

    def read(self, size: int = -1) -> bytes:
        self.largest_read = max(self.largest_read, size)
        index, offset = divmod(self._at, CHUNK_BYTES)
        size = min(size, self._size - self._at, CHUNK_BYTES - offset)
        seed = sha256(index.to_bytes(8, "big")).digest()
        start = offset % 32
        self._at += size
        return (seed * (size // 32 + 2))[start : start + size]


def pattern(size: int) -> bytes:
    stream = PatternStream(size)
    out = bytearray()
    while more := stream.read(CHUNK_BYTES):
        out += more
    return bytes(out)


def file_node(links: list[tuple[Cid, int]], filesize: int | None = None) -> bytes:
    """A canonical file node that may claim whatever sizes a liar likes."""
    total = sum(size for _, size in links) if filesize is None else filesize
    data = encode_varint(8) + encode_varint(2) + encode_varint(24) + encode_varint(total)
    data += b"".join(encode_varint(32) + encode_varint(size) for _, size in links)
    body = b""
    for cid, size in links:
        link = encode_bytes(1, cid.binary) + encode_bytes(2, b"")
        body += encode_bytes(2, link + encode_varint(24) + encode_varint(size))
    return body + encode_bytes(1, data)
