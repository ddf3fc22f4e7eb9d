"""Numbers as small integers in blocks, each block with a power-of-two scale. Exact to decode.

A value is `q · 2^e`: q of 8 or 4 bits, e of its block. Both are exact in float32, so decoding gives
the same bytes everywhere. One sequence of values has one byte form. Numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from commonweal.learning.encoding_errors import require
from commonweal.learning.weights import Buffer

# Within these no product leaves float32's normal numbers: subnormals may be flushed to zero.
MIN_EXPONENT, MAX_EXPONENT = -120, 120
_AT_ONCE = 2**16  # values, so that they stay in the processor's cache

Values = NDArray[np.float32]
Integers = NDArray[np.int8]
Bits = Literal[8, 4]


@dataclass(frozen=True, slots=True)
class BlockCode:
    """How `count` values become bytes: `scales` (int8, one per block), then the integers.

    `without_zero`: zero is not among the values, so a sparse update does not name it.
    """

    bits: Bits
    block: int
    without_zero: bool = False

    @property
    def greatest(self) -> int:
        """The greatest magnitude of an integer; −128 and −8 are not used."""
        return int(2 ** (self.bits - 1) - 1)

    def size(self, count: int) -> int:
        """Bytes of `count` values."""
        return -(-count // self.block) + -(-count * self.bits // 8)

    def encode(self, values: Values) -> bytes:
        """`values` (count,) finite. Raises InvalidUpdate (range)."""
        exponents = np.empty(-(-len(values) // self.block), np.int8)
        integers = np.empty(len(values), np.int8)
        step = max(1, _AT_ONCE // self.block)
        for first in range(0, len(exponents), step):
            here = slice(first * self.block, (first + step) * self.block)
            found = self._round(values[here])
            exponents[first : first + step], integers[here] = found
        return exponents.tobytes() + self._pack(integers)

    def _round(self, values: Values) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Exponents of whole blocks, and the integers, (count,)."""
        rows = _in_rows(values.astype(np.float64), self.block)
        exponents = self._choose_exponents(np.abs(rows).max(axis=1, initial=0.0))
        rows *= np.ldexp(1.0, -exponents)[:, None]
        integers = np.rint(rows, out=rows).reshape(-1)[: len(values)]
        if self.without_zero:
            integers = np.where(integers == 0, np.sign(values), integers)
        return exponents, integers

    def decode(self, payload: Buffer, count: int) -> Values:
        """`payload` of `size(count)` bytes. Raises InvalidUpdate (scale, value, canonical)."""
        blocks = -(-count // self.block)
        exponents = np.frombuffer(payload, np.int8, count=blocks).astype(np.int32)
        integers = self._unpack(payload[blocks:], count)
        self._require_canonical(exponents, integers)
        rows = _in_rows(integers.astype(np.float32), self.block)
        np.multiply(rows, np.ldexp(np.float32(1), exponents)[:, None], out=rows)
        return rows.reshape(-1)[:count]

    def _choose_exponents(self, greatest: NDArray[np.float64]) -> NDArray[np.int32]:
        """The least exponent of each block with which its greatest magnitude still fits."""
        _, exponents = np.frexp(greatest / self.greatest)  # in (2^(e−1), 2^e], but for 2^e itself
        exact = np.ldexp(float(self.greatest), exponents - 1) >= greatest
        exponents = np.where(exact, exponents - 1, exponents)
        exponents = np.maximum(exponents, MIN_EXPONENT).astype(np.int32)
        exponents[greatest == 0] = MIN_EXPONENT
        worst = int(exponents.max(initial=MIN_EXPONENT))
        message = f"a value of about 2^{worst + self.bits - 1} is out of range"
        require(worst <= MAX_EXPONENT, "range", message, exponent=worst, limit=MAX_EXPONENT)
        return exponents

    def _require_canonical(self, exponents: NDArray[np.int32], integers: Integers) -> None:
        low, high = int(exponents.min(initial=0)), int(exponents.max(initial=0))
        inside = low >= MIN_EXPONENT and high <= MAX_EXPONENT
        require(inside, "scale", f"exponents {low} to {high}", low=low, high=high)
        require(
            int(integers.min(initial=0)) >= -self.greatest,
            "value",
            f"an integer below {-self.greatest}",
            limit=self.greatest,
        )
        require(not self.without_zero or bool(integers.all()), "value", "a zero that is named")
        # With a scale twice as fine the same values would fit: two forms of one update.
        tops = _in_rows(np.abs(integers), self.block).max(axis=1, initial=0)
        fine = (tops > self.greatest // 2) | (exponents == MIN_EXPONENT)
        odd = int(np.argmin(fine)) if len(fine) else 0
        require(bool(fine.all()), "canonical", f"block {odd} fits a finer scale", block=odd)

    def _pack(self, integers: Integers) -> bytes:
        if self.bits == 8:
            return integers.tobytes()
        nibbles = np.zeros(len(integers) + len(integers) % 2, np.uint8)
        nibbles[: len(integers)] = integers.view(np.uint8) & 0x0F
        return (nibbles[0::2] | nibbles[1::2] << 4).tobytes()

    def _unpack(self, payload: Buffer, count: int) -> Integers:
        packed = np.frombuffer(payload, np.uint8)
        if self.bits == 8:
            return packed.view(np.int8)
        nibbles = np.empty(2 * len(packed), np.uint8)
        nibbles[0::2], nibbles[1::2] = packed & 0x0F, packed >> 4
        require(not nibbles[count:].any(), "canonical", "bits after the last value are not zero")
        return (nibbles[:count] << 4).view(np.int8) >> 4


def _in_rows(values: NDArray[Any], block: int) -> NDArray[Any]:
    """(blocks, block), filled up with zeros: a copy."""
    rows = np.zeros((-(-len(values) // block), block), values.dtype)
    rows.reshape(-1)[: len(values)] = values
    return rows
