"""Blocks as files in sharded directories: atomic, counted against a quota, verified when read.

What is pinned and what is garbage is not decided here. Everything holds for several processes on
one directory: the locks are flock on files, so a killed process leaves none behind.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from commonweal.adapters.content.store import (
    ContentCorrupt,
    ContentNotFound,
    ContentTooLarge,
    StoreFull,
)
from commonweal.protocol.cids import Cid, is_block_of

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_COUNTER_DIGITS = 20


class BlockDirectory:
    def __init__(self, path: Path, max_bytes: int | None, reserve_bytes: int = 0) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._reserve_bytes = reserve_bytes
        self._blocks = path / "blocks"
        self._incoming = path / "incoming"
        self._counter = path / "used-bytes"
        self._lock_file = path / "lock"
        for directory in (self._blocks, self._incoming):
            directory.mkdir(parents=True, exist_ok=True)
        for file in (self._lock_file, self._counter):
            file.touch()
        self._recover()

    def _recover(self) -> None:
        """Clears what a killed process left and recounts, unless somebody is writing right now."""
        with suppress(BlockingIOError), self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
            self.clean_up()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Held by writers together; excludes `sweeping`."""
        with self._locked(fcntl.LOCK_SH):
            yield

    @contextmanager
    def sweeping(self) -> Iterator[None]:
        """Held alone: nobody writes or pins meanwhile."""
        with self._locked(fcntl.LOCK_EX):
            yield

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        with self._lock_file.open("rb") as file:
            fcntl.flock(file, how)
            yield

    def path_of(self, cid: Cid) -> Path:
        name = str(cid)
        return self._blocks / name[-3:-1] / name

    def has(self, cid: Cid) -> bool:
        return self.path_of(cid).is_file()

    def read(self, cid: Cid, max_bytes: int) -> bytes:
        try:
            with self.path_of(cid).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size > max_bytes:
                    raise ContentTooLarge(
                        f"{cid} has {size} bytes", cid=str(cid), size=size, limit=max_bytes
                    )
                block = file.read()
        except FileNotFoundError as error:
            raise ContentNotFound(f"{cid} is not here", cid=str(cid)) from error
        if not is_block_of(cid, block):
            # Out of the way, so that the true block can be fetched again.
            self._drop(cid)
            raise ContentCorrupt(f"{cid} was damaged on disk", cid=str(cid), size=len(block))
        return block

    def write(self, cid: Cid, block: bytes, *, durable: bool = True) -> int | None:
        """Inside `writing`. The new file's mtime in ns, or None if the block was here.

        What is not `durable` may be torn by a power cut, which reading it would find.
        """
        if self._renew(cid):
            return None
        self._check_room(len(block), self.used_bytes())
        self._check_disk(len(block))
        with full_disk_as_store_full(self._path, need=len(block)):
            return self._write_new(cid, block, durable)

    def _renew(self, cid: Cid) -> bool:
        """Marks a block that is here as put just now, which protects it for the grace."""
        now = time.time_ns()
        try:
            os.utime(self.path_of(cid), ns=(now, now))
        except FileNotFoundError:
            return False
        return True

    def _write_new(self, cid: Cid, block: bytes, durable: bool) -> int | None:
        handle, name = tempfile.mkstemp(dir=self._incoming)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(block)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            return self._publish(Path(name), cid, len(block), durable)
        finally:
            Path(name).unlink(missing_ok=True)

    def _publish(self, temporary: Path, cid: Cid, size: int, durable: bool) -> int | None:
        final = self.path_of(cid)
        with self._counting() as counter:
            if self._renew(cid):
                return None
            used = _read_counter(counter)
            self._check_room(size, used)
            _move(temporary, final)
            _write_counter(counter, used + size)
        if durable:
            sync_directory(final.parent)
        return final.stat().st_mtime_ns

    def _check_room(self, size: int, used: int) -> None:
        if self._max_bytes is not None and used + size > self._max_bytes:
            raise StoreFull(
                f"The store holds {used} of {self._max_bytes} bytes; {size} more do not fit",
                need=size,
                used=used,
                limit=self._max_bytes,
            )

    def _check_disk(self, size: int) -> None:
        if not self._reserve_bytes:
            return
        free = shutil.disk_usage(self._path).free
        if free - size < self._reserve_bytes:
            raise StoreFull(
                f"The disk has {free} bytes, of which {self._reserve_bytes} are kept free",
                need=size,
                free=free,
                reserve=self._reserve_bytes,
            )

    def take_back(self, written: list[tuple[Cid, int]]) -> None:
        """Inside `sweeping`. Removes just-written blocks that nobody has put again since."""
        for cid, mtime in written:
            with suppress(FileNotFoundError):
                if self.path_of(cid).stat().st_mtime_ns == mtime:
                    self._drop(cid)

    def _drop(self, cid: Cid) -> None:
        path = self.path_of(cid)
        with self._counting() as counter, suppress(FileNotFoundError):
            size = path.stat().st_size
            path.unlink()
            _write_counter(counter, max(0, _read_counter(counter) - size))

    def sweep(self, keep: set[str], older_than: float) -> int:
        """Inside `sweeping`. Deletes the blocks not in `keep`; returns the bytes freed."""
        freed = 0
        for entry in self._list():
            found = entry.stat()
            if entry.name not in keep and found.st_mtime <= older_than:
                Path(entry.path).unlink()
                freed += found.st_size
        self.clean_up()
        return freed

    def clean_up(self) -> None:
        """Inside `sweeping`. Removes unfinished files and recounts."""
        for file in self._incoming.iterdir():
            file.unlink()
        with self._counting() as counter:
            _write_counter(counter, sum(entry.stat().st_size for entry in self._list()))

    def used_bytes(self) -> int:
        with self._counting() as counter:
            return _read_counter(counter)

    def fetch_capacity(self) -> int:
        """Bytes that all blocks together may take: the quota, or less if the disk has less."""
        free = max(0, shutil.disk_usage(self._path).free - self._reserve_bytes)
        room = self.used_bytes() + free
        return room if self._max_bytes is None else min(self._max_bytes, room)

    @contextmanager
    def _counting(self) -> Iterator[int]:
        with self._counter.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file.fileno()

    def _list(self) -> Iterator[os.DirEntry[str]]:
        for shard in self._blocks.iterdir():
            with os.scandir(shard) as entries:
                yield from entries


def _move(temporary: Path, final: Path) -> None:
    """Most shards are there already."""
    try:
        temporary.replace(final)
    except FileNotFoundError:
        final.parent.mkdir(exist_ok=True)
        temporary.replace(final)


@contextmanager
def full_disk_as_store_full(path: Path, need: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        free = shutil.disk_usage(path).free
        raise StoreFull(f"The disk has no room for {need} bytes", need=need, free=free) from error


def sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read_counter(handle: int) -> int:
    return int(os.pread(handle, _COUNTER_DIGITS, 0) or b"0")


def _write_counter(handle: int, value: int) -> None:
    # Always as many bytes: overwriting in place needs no room on a full disk.
    os.pwrite(handle, str(value).zfill(_COUNTER_DIGITS).encode(), 0)
