"""Updates in files that are mapped read-only: what was read is given back, block by block.

So memory does not grow with the updates, whatever the kernel would keep in its place. As long as
they are small together they stay.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from commonweal.learning.weights import Weights

# Bytes of updates that may stay mapped: to give them back takes a third of a median's time.
KEPT = 2**29
# With a page the kernel maps what it holds together with it, up to so much; it costs as much as
# reading to let go of that and to map it again, so it is done once per piece of the file.
_PIECE = 2 * 2**20


@dataclass(frozen=True, slots=True)
class MappedTensor:
    """Where a tensor lies in a file that is mapped read-only; `start` in bytes."""

    file: mmap.mmap
    start: int

    def give_back(self, first: int, end: int) -> None:
        """Let go of the pieces that end in these bytes of the tensor; read again if needed."""
        piece, last = (self.start + first) // _PIECE, (self.start + end) // _PIECE
        if last > piece:
            before = max(0, piece - 1)  # a slower thread may have brought it back
            self.file.madvise(mmap.MADV_DONTNEED, before * _PIECE, (last - before) * _PIECE)


def list_mapped(deltas: Sequence[Weights]) -> dict[str, list[MappedTensor]]:
    """What to give back, by tensor; nothing of updates of at most KEPT bytes. Names as in each."""
    size = sum(tensor.nbytes for delta in deltas for tensor in delta.values())
    if size <= KEPT:
        return {}
    return {
        name: [found for delta in deltas if (found := find_mapped(delta[name]))]
        for name in deltas[0]
    }


def find_mapped(tensor: NDArray[np.float32]) -> MappedTensor | None:
    """None for a tensor in memory, or one that may be written to."""
    base: object = tensor
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    if tensor.flags.writeable or not isinstance(base, mmap.mmap):
        return None
    start = tensor.ctypes.data - np.frombuffer(base, np.uint8).ctypes.data
    return MappedTensor(base, start)
