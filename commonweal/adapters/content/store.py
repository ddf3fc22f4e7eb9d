"""The narrow interface of a content store, and its errors. The stores are in their own modules."""

from __future__ import annotations

from typing import BinaryIO, ClassVar, Protocol, runtime_checkable

from commonweal.errors import InvalidInput, NotFound, Unavailable
from commonweal.protocol.cids import Codec

MAX_BLOCK_BYTES = 2 * 2**20


class ContentNotFound(NotFound):
    code: ClassVar[str] = "content-not-found"


class ContentTooLarge(InvalidInput):
    """Refused by its declared or its actual size, before or while it is read."""

    code: ClassVar[str] = "content-too-large"


class ContentCorrupt(InvalidInput):
    """Bytes that do not match their CID, or a graph that is not a raw-leaves UnixFS file."""

    code: ClassVar[str] = "content-corrupt"


class ContentUnreachable(Unavailable):
    """One source did not answer, or not properly, or not in time."""

    code: ClassVar[str] = "content-unreachable"


class StoreFull(Unavailable):
    """The quota or the disk has no room; nothing half-written is left."""

    code: ClassVar[str] = "store-full"


class StoreUnavailable(Unavailable):
    """The store's daemon did not answer."""

    code: ClassVar[str] = "store-unavailable"


@runtime_checkable
class ContentStore(Protocol):
    """Every block that is returned has been verified against its CID.

    A pin holds a manifest and its payload, or a whole file. It does not follow links from one
    manifest to another (`parent`, `base`): those name history, and each model is pinned itself.
    """

    def put(self, data: bytes | BinaryIO) -> str:
        """Stores a UnixFS file and pins it; memory is O(chunk) for a stream. Returns its CID."""

    def put_block(self, block: bytes, codec: Codec = "dag-cbor", *, durable: bool = True) -> str:
        """Stores one block, not pinned. Raises ContentTooLarge above 2 MiB.

        What need not be `durable` may be gone after a power cut: it can be fetched again.
        """

    def get(self, cid: str, *, max_bytes: int) -> bytes:
        """A whole file; a dag-cbor CID gives its block. Bounded before it is read."""

    def get_block(self, cid: str, *, max_bytes: int = MAX_BLOCK_BYTES) -> bytes: ...

    def pin(self, cid: str) -> None:
        """Raises ContentNotFound if the block, or some of its payload, is not here."""

    def unpin(self, cid: str) -> None:
        """Does nothing if it is not pinned."""

    def has(self, cid: str) -> bool:
        """Whether all that a pin would hold is here."""


def check_block_size(block: bytes) -> None:
    if len(block) > MAX_BLOCK_BYTES:
        raise ContentTooLarge(
            f"A block has at most {MAX_BLOCK_BYTES} bytes", size=len(block), limit=MAX_BLOCK_BYTES
        )
