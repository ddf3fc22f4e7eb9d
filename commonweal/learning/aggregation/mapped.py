"""Updates in files that are mapped read-only: what was read is given back, block by block.

So memory does not grow with the updates, whatever the kernel would keep in its place.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

# With a page the kernel maps what it holds together with it, up to so much; it costs as much as
# reading to let go of that and to map it again, so it is done once per piece of the file.
_PIECE = 2 * 2**20


def give_back(rows: Iterable[NDArray[np.float32]]) -> None:
    """Let go of the pieces of files that end within the rows; they are read again if needed."""
    for row in rows:
        if row.flags.writeable or (file := _find_map(row)) is None:
            continue
        start = row.ctypes.data - np.frombuffer(file, np.uint8).ctypes.data
        first, last = start // _PIECE, (start + row.nbytes) // _PIECE
        if last > first:
            before = max(0, first - 1)  # a slower thread may have brought it back
            file.madvise(mmap.MADV_DONTNEED, before * _PIECE, (last - before) * _PIECE)


def _find_map(row: NDArray[np.float32]) -> mmap.mmap | None:
    base: object = row
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return base if isinstance(base, mmap.mmap) else None
