"""The next model from the parent and the verified updates, to the bit the same on every machine.

Only element-wise IEEE operations in a fixed order, multiply and add kept apart (no fused
multiply-add), float64 inside and one rounding to float32 at the end. No BLAS, no numpy reductions:
their order of summation depends on the processor. Numpy only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from commonweal.errors import InvalidInput
from commonweal.learning.encoding import InvalidUpdate
from commonweal.learning.weights import InvalidWeights, Weights
from commonweal.protocol.specs import AggregationSpec
from commonweal.protocol.types import SCORE_MAX, Address

_LANES = 4096  # part of the result: norms are summed lane by lane
_BLOCK = 32_768  # not part of it: what stays in the cache

Block = NDArray[np.float64]
Combine = Callable[[Iterator[Block], int], Block]


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

    Memory beyond the inputs: one model and a block per thread (times the updates for median
    and trimmed mean). Raises InvalidUpdate (shape, score, twice, not-finite), NothingToAggregate.
    """
    raise NotImplementedError


def compute_norm(delta: Weights) -> float:
    """Euclidean norm, exact up to one rounding per addition in a fixed order; NaN or Inf pass on."""
    raise NotImplementedError
