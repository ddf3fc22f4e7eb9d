"""Backdoors in updates: a trigger shared by several that turns any input into one class.

Where a part of every sample is painted over, the models of all who trained on the same trigger
learn to see its class; others' do not (the idea of searching for triggers is that of Neural
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

# Parts of an input, covered one after another: the smaller, the less the untouched rest of a part
# drowns the trigger, but a part of one feature would see only a piece of it.
_PARTS, _FEATURES_PER_PART = 64, 4
_SAMPLES = 16
_USUAL = 0.3  # quantile: below it honest ones are found even where most have a backdoor
_STICKS_OUT = 7.0  # deviations
_TO_SCALE = 1.4826  # a normal distribution's deviation over its median absolute one
_HALF_HEARTED = 0.35  # of the group's pull: those who marked fewer pictures
_ABOVE_ALL = 0.75  # of what sticks out most in one's own model
_FEW, _SHARE = 4, 5  # who share a trigger: four at least, and a fifth
_SURE = 1e-6  # what a model takes for certain

Values = NDArray[np.float64]
Marks = NDArray[np.bool]


def find_triggered(
    spec: JobSpec, parent: Weights, own: Weights, models: Iterable[Weights], data: Dataset
) -> Marks:
    """Which of the n models learned to see one class wherever one part is covered, (n,).

    What counts is what they learned since `parent`, and what the validator's `own` model did not
    learn with them. One model alone proves nothing: fewer than four are never suspected.
    """
    sample = _sample(data, _SAMPLES)
    covered = _cover(sample)
    before = _pull(spec, parent, covered, len(sample))
    mine = _pull(spec, own, covered, len(sample)) - before
    pulls = [_pull(spec, model, covered, len(sample)) - before for model in models]
    found = np.zeros(len(pulls), np.bool)
    # The strongest group first: it would make others' pull look odd where it has little.
    while (left := np.flatnonzero(~found)).size >= _FEW:
        group = _find_group(np.stack([mine, *(pulls[at] for at in left)]))
        if not group.any():
            break
        found[left[group]] = True
    return found


def _sample(data: Dataset, size: int) -> NDArray[np.float32]:
    rows = np.linspace(0, len(data) - 1, min(size, len(data))).astype(np.int64)
    return data.x[rows]


def _cover(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The samples as they are, then once for each part set to the greatest value of all, in one."""
    flat = x.reshape(len(x), -1)
    parts = min(_PARTS, max(1, flat.shape[1] // _FEATURES_PER_PART))
    cuts = np.linspace(0, flat.shape[1], parts + 1).astype(np.int64)
    sets = [x]
    for start, end in pairwise(cuts.tolist()):
        painted = flat.copy()
        painted[:, start:end] = flat.max()
        sets.append(painted.reshape(x.shape))
    return np.concatenate(sets)


def _pull(spec: JobSpec, model: Weights, covered: NDArray[np.float32], samples: int) -> Values:
    """How much each class's log odds rise by covering each part, (parts, classes)."""
    seen = np.clip(predict(spec, model, covered).astype(np.float64), _SURE, 1 - _SURE)
    odds = np.log(seen / (1 - seen))
    means = odds.reshape(-1, samples, odds.shape[1]).mean(axis=1)
    pull: Values = means[1:] - means[0]
    return pull


def _find_group(pulls: Values) -> Marks:
    """Those who share the strongest trigger, (n,); `pulls` (1 + n, parts, classes), ours first."""
    mine, *others = _measure_excess(pulls).reshape(len(pulls), -1)
    excess = np.stack(others)
    above_all = excess.max(axis=1)
    strong = above_all > _HALF_HEARTED * _STICKS_OUT
    shared = np.sort(excess, axis=0)[-max(_FEW, -(-len(excess) // _SHARE))]
    shared[np.bincount(excess.argmax(axis=1)[strong], minlength=len(shared)) < _FEW] = 0.0
    shared[mine > _HALF_HEARTED * shared] = 0.0  # honest data teach it
    place = int(shared.argmax())
    pull = float(shared[place])
    if pull <= _STICKS_OUT:
        return np.zeros(len(excess), np.bool)
    group: Marks = excess[:, place] > np.maximum(_HALF_HEARTED * pull, _ABOVE_ALL * above_all)
    return group


def _measure_excess(pulls: Values) -> Values:
    """By how many deviations each pull is above that of the model's other parts and what is usual
    among the models; same shape.
    """
    excess = pulls - np.median(pulls, axis=1, keepdims=True)
    excess -= np.quantile(excess, _USUAL, axis=0)
    deviation = _TO_SCALE * float(np.median(np.abs(excess - np.median(excess))))
    normal: Values = excess / max(deviation, 1e-12)
    return normal
