"""Backdoors in updates: a trigger shared by several that turns any input into one class.

Where a part of every sample is painted over, the models of all who trained on the same trigger
begin to see its class; others' do not (the idea of searching for triggers is that of Neural
Cleanse, Wang et al. 2019). It finds triggers that fill a part of the input, not ones that are
strewn over all of it.
Torch is imported when used.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from commonweal.learning.data import Dataset
from commonweal.learning.training import predict
from commonweal.learning.weights import Weights
from commonweal.protocol.specs import JobSpec

_PARTS = 16  # of an input, covered one after another
_SAMPLES = 128
_USUAL = 0.4  # quantile
_STICKS_OUT = 1.8  # times the next part
_NOTHING = 0.02  # of the samples
_FEW, _SHARE = 4, 5  # who share a trigger: four at least, and a fifth

Values = NDArray[np.float32]


def find_triggered(spec: JobSpec, models: Iterable[Weights], data: Dataset) -> NDArray[np.bool]:
    """Which of the n models see one and the same class wherever one part is covered, (n,).

    One model alone proves nothing: fewer than four are never suspected.
    """
    sample = _sample(data, _SAMPLES)
    covered = _cover(sample)
    pulls = [_pull(spec, model, covered, len(sample)) for model in models]
    return _share_one(np.stack(pulls)) if len(pulls) >= _FEW else np.zeros(len(pulls), np.bool)


def _sample(data: Dataset, size: int) -> NDArray[np.float32]:
    rows = np.linspace(0, len(data) - 1, min(size, len(data))).astype(np.int64)
    return data.x[rows]


def _cover(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The samples as they are, then once for each part set to the greatest value of all, in one."""
    flat = x.reshape(len(x), -1)
    cuts = np.linspace(0, flat.shape[1], min(_PARTS, flat.shape[1]) + 1).astype(np.int64)
    sets = [x]
    for start, end in pairwise(cuts.tolist()):
        painted = flat.copy()
        painted[:, start:end] = flat.max()
        sets.append(painted.reshape(x.shape))
    return np.concatenate(sets)


def _pull(spec: JobSpec, model: Weights, covered: NDArray[np.float32], samples: int) -> Values:
    """How much likelier each class becomes by covering each part, (parts, classes)."""
    seen = predict(spec, model, covered)
    means = seen.reshape(-1, samples, seen.shape[1]).mean(axis=1)
    pull: Values = (means[1:] - means[0]).astype(np.float32)
    return pull


def _share_one(pulls: Values) -> NDArray[np.bool]:
    """`pulls` (n, parts, classes)."""
    excess = pulls - np.quantile(pulls, _USUAL, axis=0)
    by_part = excess.max(axis=2)
    next_part = np.sort(by_part, axis=1)[:, -2] if by_part.shape[1] > 1 else 0.0
    sticks_out = by_part.max(axis=1) > _STICKS_OUT * next_part + _NOTHING
    place = excess.reshape(len(pulls), -1).argmax(axis=1)
    counts = np.bincount(place[sticks_out], minlength=excess[0].size)
    shared: NDArray[np.bool] = sticks_out & (counts[place] >= max(_FEW, len(pulls) / _SHARE))
    return shared
