"""Updates in files that are mapped read-only: what was read is given back, block by block.

So memory does not grow with the updates, whatever the kernel would keep in its place.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

_LEAST = 64 * 2**10  # bytes that are worth a system call
# With a page the kernel maps what it holds together with it, up to 2 MiB: the next block brings
# back the end of this one, so that goes once more with the next.
_AROUND = 2 * 2**20


def give_back(rows: Iterable[NDArray[np.float32]]) -> None:
    """Let go of the rows' pages, but for a last one that goes on: they are read again if needed."""
    for row in rows:
        if row.flags.writeable or row.nbytes < _LEAST or (file := _find_map(row)) is None:
            continue
        start = row.ctypes.data - np.frombuffer(file, np.uint8).ctypes.data
        first = max(0, start - _AROUND) // mmap.PAGESIZE * mmap.PAGESIZE
        last = (start + row.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
        if last > first:
            file.madvise(mmap.MADV_DONTNEED, first, last - first)


def _find_map(row: NDArray[np.float32]) -> mmap.mmap | None:
    base: object = row
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return base if isinstance(base, mmap.mmap) else None
