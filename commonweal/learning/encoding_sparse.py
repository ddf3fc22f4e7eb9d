"""Sparse vectors: which values are named, in few bits, and the values themselves. Numpy only.

Positions are coded as Elias (1974) and Fano (1971) do: the low bits of each as they are, the high
bits in unary. That is about log2(d/n) + 2 bits each, and one set of positions has one byte form.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from commonweal.learning.encoding_blocks import BlockCode, Values
from commonweal.learning.encoding_errors import require
from commonweal.learning.weights import Buffer

_COUNT = struct.Struct("<I")
_FLOAT = np.dtype("<f4")

Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FloatCode:
    """Values as float32, none of them zero."""

    def size(self, count: int) -> int:
        return _FLOAT.itemsize * count

    def encode(self, values: Values) -> bytes:
        return values.astype(_FLOAT).tobytes()

    def decode(self, payload: Buffer, count: int) -> Values:
        """Raises InvalidUpdate (not-finite, value)."""
        values = np.frombuffer(payload, _FLOAT, count=count).astype(np.float32, copy=False)
        require(bool(np.isfinite(values).all()), "not-finite", "NaN or Inf among the values")
        require(bool(values.all()), "value", "a zero that is named")
        return values


@dataclass(frozen=True, slots=True)
class SparseCode:
    """At most `most` of `length` values: count (uint32), positions, values."""

    length: int
    most: int
    values: FloatCode | BlockCode

    def size(self, count: int) -> int:
        """Bytes of a vector with `count` values that are not zero."""
        unary, low = _bits(count, self.length)
        return _COUNT.size + _bytes(unary) + _bytes(count * low) + self.values.size(count)

    @property
    def largest(self) -> int:
        """Bytes of the largest payload: fewer values may take more, since each has more low bits.

        With so many low bits, the size grows with the number of values.
        """
        lows = range(self.length.bit_length())
        return max(self.size(min(self.most, self.length >> low)) for low in lows)

    def encode(self, vector: Values) -> bytes:
        """`vector` (length,) finite; what is not among the greatest magnitudes is left out."""
        positions = _find_greatest(vector, self.most)
        count = len(positions)
        packed = _pack_positions(positions, self.length)
        return _COUNT.pack(count) + packed + self.values.encode(vector[positions])

    def decode(self, payload: Buffer) -> Values:
        """(length,). Raises InvalidUpdate before anything of that size is allocated."""
        count = self._read_count(payload)
        unary, low = _bits(count, self.length)
        start = _COUNT.size + _bytes(unary) + _bytes(count * low)
        positions = _unpack_positions(payload[_COUNT.size : start], count, self.length)
        values = self.values.decode(payload[start:], count)
        vector = np.zeros(self.length, np.float32)
        vector[positions] = values
        return vector

    def _read_count(self, payload: Buffer) -> int:
        require(len(payload) >= _COUNT.size, "size", "too short", have=len(payload))
        (count,) = _COUNT.unpack_from(payload)
        message = f"{count} values, at most {self.most}"
        require(count <= self.most, "count", message, have=count, limit=self.most)
        want = self.size(count)
        require(len(payload) == want, "size", "wrong size", have=len(payload), want=want)
        return int(count)


def _find_greatest(vector: Values, most: int) -> Positions:
    """Ascending positions of at most `most` values of greatest magnitude, zeros left out."""
    order = np.argpartition(np.abs(vector), len(vector) - most)[-most:]
    positions: Positions = np.sort(order[vector[order] != 0]).astype(np.int64)
    return positions


def _bits(count: int, length: int) -> tuple[int, int]:
    """Bits of all high parts in unary, and of each low part."""
    if count == 0:
        return 0, 0
    low = (length // count).bit_length() - 1
    return count + ((length - 1) >> low), low


def _bytes(bits: int) -> int:
    return -(-bits // 8)


def _pack_positions(positions: Positions, length: int) -> bytes:
    unary, low = _bits(len(positions), length)
    high = np.zeros(unary, np.uint8)
    high[(positions >> low) + np.arange(len(positions))] = 1
    lows = (positions[:, None] >> np.arange(low) & 1).astype(np.uint8)
    return b"".join(np.packbits(bits, bitorder="little").tobytes() for bits in (high, lows))


def _unpack_positions(packed: Buffer, count: int, length: int) -> Positions:
    """Raises InvalidUpdate (indices, canonical)."""
    unary, low = _bits(count, length)
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")
    high, rest = bits[:unary], bits[8 * _bytes(unary) :]
    spare = bits[unary : 8 * _bytes(unary)].any() or rest[count * low :].any()
    require(not spare, "canonical", "bits after the last position are not zero")
    ones = np.flatnonzero(high)
    require(len(ones) == count, "indices", f"{len(ones)} positions", have=len(ones), want=count)
    positions = (ones - np.arange(count)) << low
    lows = rest[: count * low].reshape(count, low)
    for bit in range(low):
        positions |= lows[:, bit].astype(np.int64) << bit
    ascending = bool((np.diff(positions) > 0).all())
    require(ascending, "indices", "a position is given twice, or they do not ascend")
    last = int(positions[-1]) if count else -1
    require(last < length, "indices", f"position {last} of {length}", have=last, limit=length)
    return positions.astype(np.int64)
