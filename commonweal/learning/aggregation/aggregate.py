"""The next model from the parent and the verified updates, to the bit the same on every machine.

Block by block over the tensors, so that memory is a model's, however many the updates. What a rule
does is in `rules`, what is done to a block in `blocks` (numpy) and `compiled` (C), with one result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from commonweal.errors import InvalidInput
from commonweal.learning.aggregation.blocks import BLOCK, Block, Kernels, Rows
from commonweal.learning.aggregation.compiled import choose_kernels
from commonweal.learning.aggregation.mapped import list_mapped
from commonweal.learning.aggregation.rules import Plan, needs_products, plan
from commonweal.learning.aggregation.server import GlobalModel, advance_step, fill_moments
from commonweal.learning.encoding import InvalidUpdate
from commonweal.learning.weights import InvalidWeights, Weights
from commonweal.protocol.specs import AggregationSpec
from commonweal.protocol.types import SCORE_MAX, Address

THREADS = 2
_SPAN = 8 * BLOCK  # at once where nothing is summed over elements: threads meet less often
Span = tuple[str, int, int]  # tensor, first element, end
Result = TypeVar("Result")


class NothingToAggregate(InvalidInput):
    code = "nothing-to-aggregate"


@dataclass(frozen=True, slots=True)
class ScoredUpdate:
    """A verified update; `delta` may be views over a mapped file."""

    trainer: Address
    score: int
    delta: Weights


def aggregate(
    spec: AggregationSpec,
    parent: Weights,
    updates: Sequence[ScoredUpdate],
    *,
    seed: bytes = b"",
    threads: int = THREADS,
    kernels: Kernels | None = None,
) -> Weights:
    """The weights after one round that starts without moments; see `advance`."""
    model = GlobalModel(parent)
    return advance(spec, model, updates, seed=seed, threads=threads, kernels=kernels).weights


def advance(
    spec: AggregationSpec,
    parent: GlobalModel,
    updates: Sequence[ScoredUpdate],
    *,
    seed: bytes,
    threads: int = THREADS,
    kernels: Kernels | None = None,
) -> GlobalModel:
    """The model after this round; the order of `updates`, `threads`, `kernels` do not matter.

    `seed` deals the buckets: what the round's manifest names as contributors. Memory beyond the
    inputs: one model with its moments, n × n numbers per block of the rules that need distances.
    Raises InvalidUpdate (shape, dtype, score, twice, not-finite), NothingToAggregate, and
    InvalidWeights when the model leaves the range of float32.
    """
    # Ascending address: arriving first must not change the model.
    ordered = sorted(updates, key=lambda update: int(update.trainer, 16))
    _require_sound(parent.weights, ordered)
    run = _Run(spec, parent, ordered, kernels or choose_kernels(), threads)
    return run.apply(run.plan(seed))


def compute_norm(delta: Weights) -> float:
    """Euclidean norm in float64, squares summed in the fixed order of `blocks`.

    NaN or Inf in the delta come out as NaN or Inf.
    """
    kernels, total = choose_kernels(), 0.0
    for tensor in _flatten(delta).values():
        for start in range(0, tensor.size, BLOCK):
            total += float(kernels.squares([tensor[start : start + BLOCK]])[0])
    return math.sqrt(total)


class _Run:
    """One aggregation: the inputs flat, and the passes over them."""

    def __init__(
        self,
        spec: AggregationSpec,
        parent: GlobalModel,
        updates: Sequence[ScoredUpdate],
        kernels: Kernels,
        threads: int,
    ) -> None:
        self._spec = spec
        self._parent = parent
        self._updates = updates
        self._kernels = kernels
        self._threads = threads
        self._deltas = [_flatten(update.delta) for update in updates]
        self._mapped = list_mapped(self._deltas)

    def plan(self, seed: bytes) -> Plan:
        products = self._sum_products() if needs_products(self._spec) else None
        return plan(
            self._spec,
            [update.trainer for update in self._updates],
            [update.score for update in self._updates],
            self._compute_scales(products),
            None if products is None else products.tolist(),
            seed,
        )

    def apply(self, its: Plan) -> GlobalModel:
        """One pass: the step of every block, through the optimiser, onto the parent."""
        server = self._spec.server_optimiser
        shapes = {name: tensor.shape for name, tensor in sorted(self._parent.weights.items())}
        model = {name: np.empty(shape, np.float32) for name, shape in shapes.items()}
        before = fill_moments(server, self._parent)
        after = {name: np.empty(tensor.shape, np.float32) for name, tensor in before.items()}
        start, old, new = _flatten(self._parent.weights), _flatten(before), _flatten(after)
        flat = _flatten(model)

        def fill(span: Span) -> bool:
            name, first, end = span
            step = np.empty(end - first)
            if not self._read(span, lambda rows: self._step(its, rows, step)):
                return False
            with np.errstate(over="ignore"):
                moved = advance_step(server, step, _part(old, span), _part(new, span))
            rate, out = self._spec.server_learning_rate, flat[name][first:end]
            return self._kernels.apply(start[name][first:end], moved, rate, out)

        if not all(self._map(fill, _SPAN)):
            self._require_finite()
        _require_in_range(after)
        return GlobalModel(model, after)

    def _step(self, its: Plan, rows: Rows, step: Block) -> bool:
        if its.rows is not None:
            return self._kernels.sorted_mean(rows, its.rows, its.cut, step)
        chosen = [rows[at] for at, _ in its.combination]
        self._kernels.weighted_sum(chosen, its.shares, step)
        return True

    def _sum_products(self) -> Block:
        """Inner products of the updates, (n, n), block after block."""
        count = len(self._updates)
        total = np.zeros((count, count))
        for products in self._map(lambda span: self._read(span, self._kernels.gram)):
            np.add(total, products, out=total)
        if not np.isfinite(np.diagonal(total)).all():
            self._require_finite()
        return total

    def _compute_scales(self, products: Block | None) -> list[float]:
        """Factors ≤ 1 that bring every norm down to the lower median, which no minority raises."""
        if not self._spec.clip_to_median:
            return [1.0] * len(self._updates)
        if products is None:
            norms = self._compute_norms()
        else:
            norms = [math.sqrt(square) for square in np.diagonal(products).tolist()]
        limit = sorted(norms)[(len(norms) - 1) // 2]
        return [limit / norm if norm > limit else 1.0 for norm in norms]

    def _compute_norms(self) -> list[float]:
        total = np.zeros(len(self._updates))
        for squares in self._map(lambda span: self._read(span, self._kernels.squares)):
            np.add(total, squares, out=total)
        if not np.isfinite(total).all():
            self._require_finite()
        return [math.sqrt(square) for square in total.tolist()]

    def _require_finite(self) -> None:
        """Name the first that is not; finite ones are too small to leave float64 in a sum."""
        for update in self._updates:
            _require(math.isfinite(compute_norm(update.delta)), update, "not-finite")
        raise InvalidWeights("the model leaves the range of numbers", reason="not-finite")

    def _read(self, span: Span, function: Callable[[Rows], Result]) -> Result:
        name, first, end = span
        rows = [delta[name][first:end] for delta in self._deltas]
        result = function(rows)
        for tensor in self._mapped.get(name, ()):
            tensor.give_back(4 * first, 4 * end)
        return result

    def _map(self, function: Callable[[Span], Result], size: int = BLOCK) -> Iterator[Result]:
        """Results in the order of the spans of `size` elements, whatever the threads."""
        spans = _spans(self._parent.weights, size)
        if self._threads == 1 or len(spans) == 1:
            yield from map(function, spans)
            return
        with ThreadPoolExecutor(self._threads) as pool:
            yield from pool.map(function, spans)


def _spans(weights: Weights, size: int) -> list[Span]:
    return [
        (name, first, min(first + size, tensor.size))
        for name, tensor in sorted(weights.items())
        for first in range(0, tensor.size, size)
    ]


def _flatten(weights: Weights) -> dict[str, NDArray[np.float32]]:
    """Views, except of what is not laid out as the kernels read it. Names ascending."""
    return {
        name: np.require(tensor, np.float32, ("C", "A")).reshape(-1)
        for name, tensor in sorted(weights.items())
    }


def _part(flat: Weights, span: Span) -> dict[str, NDArray[np.float32]]:
    """The span's part of every moment of its tensor, by moment."""
    name, first, end = span
    found = ((key.split("/", 1), tensor) for key, tensor in flat.items())
    return {moment: tensor[first:end] for (moment, of), tensor in found if of == name}


def _require_sound(parent: Weights, updates: Sequence[ScoredUpdate]) -> None:
    if not updates:
        raise NothingToAggregate("no verified update")
    shapes = {name: tensor.shape for name, tensor in parent.items()}
    for update in updates:
        _require(1 <= update.score <= SCORE_MAX, update, "score")
        same = {name: tensor.shape for name, tensor in update.delta.items()} == shapes
        _require(same, update, "shape")
        _require(all(t.dtype == np.float32 for t in update.delta.values()), update, "dtype")
    for first, second in pairwise(updates):
        _require(int(first.trainer, 16) != int(second.trainer, 16), second, "twice")


def _require(condition: bool, update: ScoredUpdate, reason: str) -> None:
    if not condition:
        message = f"update of {update.trainer}: {reason}"
        raise InvalidUpdate(message, reason=reason, trainer=update.trainer, score=update.score)


def _require_in_range(moments: Weights) -> None:
    for name, tensor in moments.items():
        if not np.isfinite(tensor).all():
            raise InvalidWeights(
                f"NaN or Inf in the moment {name}", reason="not-finite", tensor=name
            )
