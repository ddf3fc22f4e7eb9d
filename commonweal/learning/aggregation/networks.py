"""Sorting networks: which pairs to compare, in which order, so that rows come out sorted.

The same for every column, so whole blocks are compared at once. Only what the wanted rows need.
"""

from __future__ import annotations

from enum import IntFlag
from functools import lru_cache


class Keep(IntFlag):
    """Which of a comparator's two results are used afterwards."""

    LOW = 1
    HIGH = 2


Comparator = tuple[int, int, Keep]


@lru_cache(maxsize=64)
def build_network(size: int, first: int, last: int) -> tuple[Comparator, ...]:
    """Comparators (i, j): the lesser to row i, the greater to j, as far as kept.

    Afterwards rows first..last-1 hold what a full sort would put there; the others hold anything.
    """
    wanted, kept = set(range(first, last)), []
    for i, j in reversed(_batcher(size)):
        keep = (Keep.LOW if i in wanted else Keep(0)) | (Keep.HIGH if j in wanted else Keep(0))
        if keep:
            kept.append((i, j, keep))
            wanted |= {i, j}
    return tuple(reversed(kept))


def _batcher(size: int) -> list[tuple[int, int]]:
    """Batcher's odd-even merge sort (Knuth, The Art of Computer Programming 5.2.2, M)."""
    pairs: list[tuple[int, int]] = []
    top = 1 << max(size - 1, 0).bit_length() >> 1
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while d > 0:
            pairs += [(i, i + d) for i in range(size - d) if i & p == r]
            d, q, r = q - p, q >> 1, p
        p >>= 1
    return pairs
