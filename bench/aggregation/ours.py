"""Our side of a case: the spec of each rule, its time, and whether every way gives one result."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from bench.aggregation.inputs import Stopwatch, Timing
from commonweal.learning.aggregation import ScoredUpdate, aggregate
from commonweal.learning.aggregation.blocks import BLOCK, NumpyKernels
from commonweal.learning.aggregation.compiled import choose_kernels
from commonweal.learning.weights import Weights, encode_weights
from commonweal.protocol.specs import AggregationSpec

THREADS = 2
ATTACKERS = 0.2  # share that the rules assume

_FIELDS: dict[str, dict[str, object]] = {
    "weighted-mean": {"rule": "weighted-mean"},
    "mean": {"rule": "mean"},
    "median": {"rule": "median"},
    "trimmed-mean": {"rule": "trimmed-mean"},
    "krum": {"rule": "krum"},
    "multi-krum": {"rule": "multi-krum"},
    "geometric-median": {"rule": "geometric-median"},
    "centred-clipping": {"rule": "centred-clipping", "clip_radius": 1e3},
    "neighbours+trimmed-mean": {"rule": "trimmed-mean", "mix_neighbours": True},
    "clipped weighted-mean": {"rule": "weighted-mean", "clip_to_median": True},
    "clipped median": {"rule": "median", "clip_to_median": True},
}
_COMMON = {"clip_to_median": False, "trim_bps": 2000, "byzantine_bps": 2000}
RULES = {
    name: AggregationSpec.model_validate({**_COMMON, **fields}) for name, fields in _FIELDS.items()
}


def zeros(updates: Sequence[ScoredUpdate]) -> Weights:
    return {name: np.zeros_like(tensor) for name, tensor in updates[0].delta.items()}


def run(rule: str, parent: Weights, updates: Sequence[ScoredUpdate]) -> tuple[Timing, Weights]:
    """Its time and the model."""
    watch = Stopwatch()
    model = aggregate(RULES[rule], parent, updates, threads=THREADS)
    return watch.read(), model


def is_exact(rule: str, parent: Weights, updates: Sequence[ScoredUpdate], model: Weights) -> bool:
    """One thread gives the whole model again; numpy's kernels, compiled and threads, a part."""
    alone = aggregate(RULES[rule], parent, updates, threads=1)
    if _digest(alone) != _digest(model):
        return False
    least = {name: tensor[: BLOCK + 100] for name, tensor in parent.items()}
    parts = [
        ScoredUpdate(u.trainer, u.score, {n: t[: BLOCK + 100] for n, t in u.delta.items()})
        for u in updates
    ]
    digests = {
        _digest(aggregate(RULES[rule], least, parts, threads=threads, kernels=kernels))
        for kernels in (NumpyKernels(), choose_kernels())
        for threads in (1, THREADS)
    }
    return len(digests) == 1


def agrees(model: Weights, sample: Sequence[float]) -> bool:
    """Whether the peer came to the same numbers, as far as float32 sums go."""
    flat = np.concatenate([model[name] for name in sorted(model)])
    ours = flat[:: max(1, flat.size // 100)]
    return bool(np.allclose(ours, sample, rtol=1e-3, atol=1e-4))


def _digest(model: Weights) -> str:
    return hashlib.sha256(encode_weights(model)).hexdigest()
