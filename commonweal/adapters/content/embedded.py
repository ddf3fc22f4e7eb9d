"""The default store: verified blocks in a directory, safe for several threads and processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import structlog

from commonweal.adapters.content.blocks import (
    BlockDirectory,
    full_disk_as_store_full,
    sync_directory,
)
from commonweal.adapters.content.dags import list_held, walk
from commonweal.adapters.content.store import (
    MAX_BLOCK_BYTES,
    ContentCorrupt,
    ContentNotFound,
    check_block_size,
)
from commonweal.adapters.content.unixfs import build_file, read_file
from commonweal.protocol.cids import Cid, Codec, compute_cid, parse_cid

log = structlog.get_logger(__name__)


class EmbeddedStore:
    def __init__(self, path: Path, max_bytes: int | None = None, *, reserve_bytes: int = 0) -> None:
        """`max_bytes` bounds the sum of all blocks' sizes, `reserve_bytes` stay free on the disk;
        beyond either puts raise StoreFull."""
        self._blocks = BlockDirectory(Path(path), max_bytes, reserve_bytes)
        self._pins = Path(path) / "pins"
        self._pins.mkdir(exist_ok=True)

    def put(self, data: bytes | BinaryIO) -> str:
        written: list[tuple[Cid, int]] = []

        def emit(cid: Cid, block: bytes) -> None:
            mtime = self._blocks.write(cid, block)
            if mtime is not None:
                written.append((cid, mtime))

        try:
            with self._blocks.writing():
                root = build_file(data, emit)
                self._store_pin(root)
        except BaseException:
            with self._blocks.sweeping():
                self._blocks.take_back(written)
            raise
        return str(root)

    def put_block(self, block: bytes, codec: Codec = "dag-cbor", *, durable: bool = True) -> str:
        check_block_size(block)
        cid = compute_cid(block, codec)
        with self._blocks.writing():
            self._blocks.write(cid, block, durable=durable)
        return str(cid)

    def get(self, cid: str, *, max_bytes: int) -> bytes:
        return read_file(parse_cid(cid), self._blocks.read, max_bytes)

    def get_block(self, cid: str, *, max_bytes: int = MAX_BLOCK_BYTES) -> bytes:
        return self._blocks.read(parse_cid(cid), max_bytes)

    def pin(self, cid: str) -> None:
        root = parse_cid(cid)
        with self._blocks.writing():
            for held in walk(root, self._links):
                if not self._blocks.has(held):
                    raise ContentNotFound(f"{held} is not here", cid=str(held), root=str(root))
            self._store_pin(root)

    def _store_pin(self, cid: Cid) -> None:
        with full_disk_as_store_full(self._pins, need=0):
            (self._pins / str(cid)).touch()
            sync_directory(self._pins)

    def unpin(self, cid: str) -> None:
        (self._pins / str(parse_cid(cid))).unlink(missing_ok=True)
        sync_directory(self._pins)

    def is_pinned(self, cid: str) -> bool:
        return (self._pins / str(parse_cid(cid))).exists()

    def has(self, cid: str) -> bool:
        try:
            return all(self._blocks.has(held) for held in walk(parse_cid(cid), self._links))
        except (ContentNotFound, ContentCorrupt):
            return False

    def compute_fill(self) -> float:
        """The part in use, 0 to 1, of the quota or of what the disk has room for."""
        return self._blocks.used_bytes() / max(1, self._blocks.fetch_capacity())

    def collect_garbage(self, *, grace_seconds: float = 3600.0) -> int:
        """Deletes blocks that no pin holds and that were last put longer ago than the grace.

        Returns the bytes freed. The grace protects what is put but not pinned yet.
        """
        with self._blocks.sweeping():
            keep = {str(cid) for pin in self._list_pins() for cid in self._list_kept(pin)}
            freed = self._blocks.sweep(keep, older_than=time.time() - grace_seconds)
        log.info("garbage collected", freed=freed, kept=len(keep))
        return freed

    def _list_pins(self) -> list[Cid]:
        return [parse_cid(file.name) for file in self._pins.iterdir()]

    def _list_kept(self, pin: Cid) -> Iterator[Cid]:
        """A pin with a lost or damaged block still holds the rest."""

        def links(cid: Cid) -> list[Cid]:
            try:
                return list_held(cid, self._read(cid))
            except (ContentNotFound, ContentCorrupt) as error:
                log.warning("a pin is incomplete", pin=str(pin), lost=str(cid), code=error.code)
                return []

        yield from walk(pin, links)

    def _links(self, cid: Cid) -> list[Cid]:
        return list_held(cid, self._read(cid))

    def _read(self, cid: Cid) -> bytes:
        return self._blocks.read(cid, MAX_BLOCK_BYTES)
