"""Sets of members or seats as the contracts keep them: bit `i % 256` of word `i // 256`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def pack_bitmap(members: Iterable[int], words: int) -> tuple[int, ...]:
    bitmap = [0] * words
    for member in members:
        bitmap[member // 256] |= 1 << member % 256
    return tuple(bitmap)


def unpack_bitmap(words: Sequence[int]) -> frozenset[int]:
    return frozenset(
        index * 256 + bit
        for index, word in enumerate(words)
        for bit in range(word.bit_length())
        if word >> bit & 1
    )
