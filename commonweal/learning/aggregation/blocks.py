"""What is done to one block of columns, in numpy: the definition of every kernel's bytes.

Element-wise IEEE operations in a fixed order, multiply and add kept apart, float64 inside. No BLAS,
no numpy reductions: their order of summation depends on the processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from commonweal.learning.aggregation.networks import Keep, build_network

LANES = 16  # part of the result: products are summed lane by lane
SUBBLOCK = 2048  # part of the result: so many elements to a run of the lanes
BLOCK = 32_768  # part of the result of `gram`, a multiple of SUBBLOCK

Rows = Sequence[NDArray[np.float32]]  # one per update, contiguous, all of one length
Block = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """m rows made from n updates: row k is Σ coefficient · update over its terms, in order."""

    terms: tuple[tuple[tuple[int, float], ...], ...]

    @property
    def is_identity(self) -> bool:
        return all(term == ((at, 1.0),) for at, term in enumerate(self.terms))


class Kernels(Protocol):
    """Two implementations, one result. All of them may be called from several threads."""

    def weighted_sum(self, rows: Rows, coefficients: Sequence[float], out: Block) -> None:
        """out = Σ coefficient · row, rows in order; not finite where any row is not."""

    def sorted_mean(self, rows: Rows, mixture: Mixture, cut: int, out: Block) -> bool:
        """Mean per column of the mixed rows without the `cut` least and greatest.

        False, and `out` is worth nothing, if a row is not finite.
        """

    def gram(self, rows: Rows) -> Block:
        """(n, n) inner products of rows of at most BLOCK elements; not finite if a row is not."""

    def squares(self, rows: Rows) -> Block:
        """(n,) the diagonal of `gram`."""

    def apply(
        self, parent: NDArray[np.float32], step: Block, rate: float, out: NDArray[np.float32]
    ) -> bool:
        """out = parent + rate · step, rounded to float32 once.

        False if the step or the result is not finite.
        """


class NumpyKernels:
    name = "numpy"

    def weighted_sum(self, rows: Rows, coefficients: Sequence[float], out: Block) -> None:
        if not rows:
            out[:] = 0.0
            return
        term = np.empty_like(out)
        np.multiply(rows[0], coefficients[0], out=out, dtype=np.float64)
        for row, coefficient in zip(rows[1:], coefficients[1:], strict=True):
            np.multiply(row, coefficient, out=term, dtype=np.float64)
            np.add(out, term, out=out)

    def sorted_mean(self, rows: Rows, mixture: Mixture, cut: int, out: Block) -> bool:
        if not all(np.isfinite(row).all() for row in rows):
            return False
        mixed = [self._mix(rows, term) for term in mixture.terms]
        _sort_rows(mixed, cut)
        kept = mixed[cut : len(mixed) - cut]
        out[:] = kept[0]
        for row in kept[1:]:
            np.add(out, row, out=out)
        np.divide(out, len(kept), out=out)
        return True

    def _mix(self, rows: Rows, terms: Sequence[tuple[int, float]]) -> Block:
        row = np.empty(rows[0].size)
        self.weighted_sum([rows[at] for at, _ in terms], [share for _, share in terms], row)
        # −0 becomes +0: which of the two a minimum takes is not defined.
        return np.add(row, 0.0, out=row)

    def gram(self, rows: Rows) -> Block:
        shaped = _shape(rows)
        products = np.zeros((len(rows), len(rows)))
        for at in range(len(rows)):
            sums = _add_up(shaped[at], shaped[: at + 1])
            products[at, : at + 1] = sums
            products[: at + 1, at] = sums
        return products

    def squares(self, rows: Rows) -> Block:
        shaped = _shape(rows)
        return np.array([_add_up(row, row[np.newaxis])[0] for row in shaped])

    def apply(
        self, parent: NDArray[np.float32], step: Block, rate: float, out: NDArray[np.float32]
    ) -> bool:
        if not np.isfinite(step).all():
            return False
        with np.errstate(over="ignore"):
            moved = np.multiply(step, rate)
            np.add(moved, parent, out=moved)
            out[:] = moved.astype(np.float32)
        return bool(np.isfinite(out).all())


def _sort_rows(rows: list[Block], cut: int) -> None:
    spare = np.empty_like(rows[0])
    for i, j, keep in build_network(len(rows), cut, len(rows) - cut):
        if Keep.LOW in keep:
            np.minimum(rows[i], rows[j], out=spare)
        if Keep.HIGH in keep:
            np.maximum(rows[i], rows[j], out=rows[j])
        if Keep.LOW in keep:
            rows[i], spare = spare, rows[i]


def _shape(rows: Rows) -> Block:
    """(n, pieces, runs, LANES), the last piece filled up with zeros."""
    pieces = -(-rows[0].size // SUBBLOCK)
    wide = np.zeros((len(rows), pieces * SUBBLOCK))
    for at, row in enumerate(rows):
        wide[at, : row.size] = row
    return wide.reshape(len(rows), pieces, SUBBLOCK // LANES, LANES)


def _add_up(row: Block, others: Block) -> Block:
    """Inner products of (pieces, runs, LANES) with each of (m, pieces, runs, LANES): (m,).

    A lane runs through its piece; then the lanes are halved four times; then piece after piece.
    """
    lanes = np.zeros((others.shape[0], others.shape[1], LANES))
    for run in range(others.shape[2]):
        np.add(lanes, np.multiply(others[:, :, run], row[:, run]), out=lanes)
    while lanes.shape[2] > 1:
        half = lanes.shape[2] // 2
        lanes = np.add(lanes[:, :, :half], lanes[:, :, half:])
    total = np.zeros(others.shape[0])
    for piece in range(others.shape[1]):
        np.add(total, lanes[:, piece, 0], out=total)
    return total
