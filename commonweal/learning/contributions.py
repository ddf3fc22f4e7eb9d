"""What each update does to a validator's loss, alone and in company: leave-one-out and Shapley.

Updates are flat rows here, unit vectors and norms. What directions alone tell is in scoring.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from commonweal.learning.data import Dataset
from commonweal.learning.training import evaluate_samples
from commonweal.learning.weights import Weights
from commonweal.protocol.specs import JobSpec

Vectors = NDArray[np.float32]
Values = NDArray[np.float64]
_ONCE = np.float32(1.0)


@dataclass(slots=True)
class Coalitions:
    """Losses of the parent moved by the mean of some updates, each computed once."""

    spec: JobSpec
    parent: Weights
    units: Vectors  # (n, d), of length one
    norms: Values  # (n,)
    size: float  # to which longer ones are clipped
    data: Dataset
    _known: dict[bytes, Values] = field(default_factory=dict)

    def losses(self, chosen: NDArray[np.bool]) -> Values:
        """Loss per sample with the mean of the `chosen` (n,) updates, clipped."""
        key = np.packbits(chosen).tobytes()
        if key not in self._known:
            model = move(self.parent, self._step(chosen)) if chosen.any() else self.parent
            self._known[key] = evaluate_samples(self.spec, model, self.data)[0]
        return self._known[key]

    def _step(self, chosen: NDArray[np.bool]) -> Vectors:
        # Zeros for the others: rows that are chosen would be copied.
        lengths = np.where(chosen, np.minimum(self.norms, self.size), 0.0)
        step: Vectors = (lengths / chosen.sum()).astype(np.float32) @ self.units
        return step


def compute_leave_one_out(coalitions: Coalitions, trusted: NDArray[np.bool]) -> Values:
    """How much each update lowers the loss of the trusted ones' mean, in standard errors, (n,)."""
    effects = np.zeros(len(trusted))
    for at in range(len(trusted)):
        without, together = trusted.copy(), trusted.copy()
        without[at], together[at] = False, True
        change = coalitions.losses(without) - coalitions.losses(together)
        effects[at] = change.mean() / (change.std() / np.sqrt(len(change)) + 1e-12)
    return effects


def compute_shapley(coalitions: Coalitions, *, orders: int, tolerance: float, seed: int) -> Values:
    """How much each update lowers the loss on average over the orders of joining, (n,).

    Truncated Monte Carlo (Ghorbani & Zou 2019): of each random order the rest is taken to add
    nothing once the loss is within `tolerance` of the whole group's, as a share of the change.
    """
    n = len(coalitions.norms)
    generator = np.random.Generator(np.random.PCG64(seed))
    start = float(coalitions.losses(np.zeros(n, np.bool)).mean())
    end = float(coalitions.losses(np.ones(n, np.bool)).mean())
    near = tolerance * abs(start - end)
    total = np.zeros(n)
    for _ in range(orders):
        total += _join_one_by_one(coalitions, generator.permutation(n), start, end, near)
    return total / orders


def _join_one_by_one(
    coalitions: Coalitions, order: NDArray[np.int64], start: float, end: float, near: float
) -> Values:
    joined, before = np.zeros(len(order), np.bool), start
    gains = np.zeros(len(order))
    for at in order:
        if abs(before - end) <= near:
            break
        joined[at] = True
        after = float(coalitions.losses(joined).mean())
        gains[at], before = before - after, after
    return gains


def move(parent: Weights, step: Vectors, times: np.float32 = _ONCE) -> Weights:
    """The parent plus `times` a flat step in the order of its own names."""
    moved, start = {}, 0
    for name, tensor in parent.items():
        moved[name] = times * step[start : start + tensor.size].reshape(tensor.shape)
        moved[name] += tensor
        start += tensor.size
    return moved


def flatten(deltas: Sequence[Weights], parent: Weights, norms: Sequence[float]) -> Vectors:
    """Unit vectors (n, d) of deltas of the given lengths; a zero delta stays zero."""
    units = np.zeros((len(deltas), sum(tensor.size for tensor in parent.values())), np.float32)
    for row, delta, norm in zip(units, deltas, norms, strict=True):
        if norm > 0:
            _fill(row, [delta[name].reshape(-1) for name in parent], np.float64(norm))
    return units


def _fill(row: Vectors, parts: Sequence[Vectors], norm: np.float64) -> None:
    """`norm` as a numpy number: a Python float would be made a float32, which may be infinite."""
    start = 0
    for part in parts:
        np.divide(part, norm, out=row[start : start + part.size], casting="same_kind")
        start += part.size
