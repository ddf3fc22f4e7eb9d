"""The next model from the parent and the verified updates, to the bit the same on every machine.

Only element-wise IEEE operations in a fixed order, multiply and add kept apart (no fused
multiply-add), float64 inside and one rounding to float32 at the end. No BLAS, no numpy reductions:
their order of summation depends on the processor. Numpy only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from commonweal.errors import InvalidInput
from commonweal.learning.encoding import InvalidUpdate
from commonweal.learning.weights import InvalidWeights, Weights
from commonweal.protocol.specs import AggregationSpec
from commonweal.protocol.types import BPS, SCORE_MAX, Address

_LANES = 4096  # part of the result: norms are summed lane by lane
_BLOCK = 32_768  # not part of it: what stays in the cache

Block = NDArray[np.float64]
Combine = Callable[[Iterable[Block]], Block]


class NothingToAggregate(InvalidInput):
    code = "nothing-to-aggregate"


@dataclass(frozen=True, slots=True)
class ScoredUpdate:
    """A verified update; `delta` may be views over a mapped file."""

    trainer: Address
    score: int
    delta: Weights


def aggregate(
    spec: AggregationSpec, parent: Weights, updates: Sequence[ScoredUpdate], *, threads: int = 1
) -> Weights:
    """The model after this round; the order of `updates` and `threads` do not matter.

    Memory beyond the inputs: one model and a few blocks per thread (the median and the trimmed
    mean: a few blocks per update). Raises InvalidUpdate (shape, score, twice, not-finite),
    NothingToAggregate.
    """
    # Ascending address: arriving first must not change the model.
    ordered = sorted(updates, key=lambda update: int(update.trainer, 16))
    _require_sound(parent, ordered)
    scales = _compute_scales(spec, [_finite_norm(update) for update in ordered])
    combine = _combiner(spec, ordered)
    model = {name: np.empty(tensor.shape, np.float32) for name, tensor in sorted(parent.items())}

    def fill(name: str, start: int) -> None:
        rows = [update.delta[name].reshape(-1)[start : start + _BLOCK] for update in ordered]
        with np.errstate(over="ignore"):
            step = combine(_scaled(rows, scales))
            np.multiply(step, spec.server_learning_rate, out=step)
            np.add(step, parent[name].reshape(-1)[start : start + _BLOCK], out=step)
            model[name].reshape(-1)[start : start + _BLOCK] = step.astype(np.float32)

    _run(fill, model, threads)
    _require_finite(model)
    return model


def compute_norm(delta: Weights) -> float:
    """Euclidean norm in float64: squares summed lane by lane in a fixed order, the lanes exactly.

    NaN or Inf in the delta come out as NaN or Inf.
    """
    lanes, square = np.zeros(_LANES), np.empty(_LANES)
    for name in sorted(delta):
        flat = delta[name].reshape(-1)
        for start in range(0, flat.size, _LANES):
            row = flat[start : start + _LANES]
            out = square[: row.size]
            np.multiply(row, row, out=out, dtype=np.float64)
            np.add(lanes[: row.size], out, out=lanes[: row.size])
    if not all(map(math.isfinite, lanes.tolist())):
        return math.nan
    return math.sqrt(math.fsum(lanes.tolist()))


def _compute_scales(spec: AggregationSpec, norms: Sequence[float]) -> list[float]:
    """Factors ≤ 1 that bring every norm down to the lower median, which no minority can raise."""
    limit = sorted(norms)[(len(norms) - 1) // 2]
    if not spec.clip_to_median:
        return [1.0] * len(norms)
    return [limit / norm if norm > limit else 1.0 for norm in norms]


def _combiner(spec: AggregationSpec, updates: Sequence[ScoredUpdate]) -> Combine:
    if spec.rule == "weighted-mean":
        return _mean([update.score for update in updates])
    if spec.rule == "mean":
        return _mean([1] * len(updates))
    cut = (len(updates) - 1) // 2
    if spec.rule == "trimmed-mean":
        cut = min(cut, len(updates) * spec.trim_bps // BPS)
    return lambda rows: _mean_between(list(rows), cut)


def _mean(scores: Sequence[int]) -> Combine:
    total = sum(scores)
    shares = [score / total for score in scores]

    def combine(rows: Iterable[Block]) -> Block:
        step: Block | None = None
        for row, share in zip(rows, shares, strict=True):
            np.multiply(row, share, out=row)
            step = row.copy() if step is None else np.add(step, row, out=step)
        assert step is not None
        return step

    return combine


def _mean_between(rows: list[Block], cut: int) -> Block:
    """Mean of what is left per element when the `cut` least and greatest are gone."""
    for row in rows:
        np.add(row, 0.0, out=row)  # −0 becomes +0: which of the two a minimum takes is not defined
    _sort_rows(rows)
    kept = rows[cut : len(rows) - cut]
    step = kept[0].copy()
    for row in kept[1:]:
        np.add(step, row, out=step)
    return np.divide(step, len(kept), out=step)


def _sort_rows(rows: list[Block]) -> None:
    """Sort element-wise, ascending, by Batcher's odd-even merge network (Knuth 5.2.2, M)."""
    low = np.empty_like(rows[0])
    for i, j in _network(len(rows)):
        np.minimum(rows[i], rows[j], out=low)
        np.maximum(rows[i], rows[j], out=rows[j])
        rows[i][:] = low


@cache
def _network(size: int) -> tuple[tuple[int, int], ...]:
    pairs: list[tuple[int, int]] = []
    top = 1 << max(size - 1, 0).bit_length() >> 1
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while d > 0:
            pairs += [(i, i + d) for i in range(size - d) if i & p == r]
            d, q, r = q - p, q >> 1, p
        p >>= 1
    return tuple(pairs)


def _scaled(rows: Iterable[NDArray[np.float32]], scales: Iterable[float]) -> Iterator[Block]:
    for row, scale in zip(rows, scales, strict=True):
        yield np.multiply(row, scale, dtype=np.float64)


def _run(fill: Callable[[str, int], None], model: Weights, threads: int) -> None:
    blocks = [(name, at) for name, tensor in model.items() for at in range(0, tensor.size, _BLOCK)]
    if threads == 1:
        for name, start in blocks:
            fill(name, start)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(fill, *zip(*blocks, strict=True)):
            pass


def _require_sound(parent: Weights, updates: Sequence[ScoredUpdate]) -> None:
    if not updates:
        raise NothingToAggregate("no verified update")
    shapes = {name: tensor.shape for name, tensor in parent.items()}
    for update in updates:
        _require(1 <= update.score <= SCORE_MAX, update, "score")
        same = {name: tensor.shape for name, tensor in update.delta.items()} == shapes
        _require(same, update, "shape")
    for first, second in pairwise(updates):
        _require(int(first.trainer, 16) != int(second.trainer, 16), second, "twice")


def _finite_norm(update: ScoredUpdate) -> float:
    norm = compute_norm(update.delta)
    _require(math.isfinite(norm), update, "not-finite")
    return norm


def _require(condition: bool, update: ScoredUpdate, reason: str) -> None:
    if not condition:
        message = f"update of {update.trainer}: {reason}"
        raise InvalidUpdate(message, reason=reason, trainer=update.trainer, score=update.score)


def _require_finite(model: Weights) -> None:
    for name, tensor in model.items():
        if not np.isfinite(tensor).all():
            raise InvalidWeights(f"NaN or Inf in {name}", reason="not-finite", tensor=name)
