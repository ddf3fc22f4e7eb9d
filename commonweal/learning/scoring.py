"""What one validator thinks of a round's updates: a ballot score for each, by the job's rule.

The default rule asks four questions, in this order. Is it new (no copy of another's or of an
earlier update)? Does it agree with what this validator learns from its own data (cosine to a
trusted reference, as in FLTrust, Cao et al. 2021), now and over the rounds? Does it point anywhere
at all, or is it noise? Does the aggregate get worse with it (leave-one-out)? The contract takes
the median of the committee's ballots, so scores are few coarse levels: validators who measure a
little differently still say the same. The other rules ask one thing, besides whether it is new.
Torch is imported when used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from commonweal.learning.aggregation import compute_norm
from commonweal.learning.contributions import (
    Coalitions,
    compute_leave_one_out,
    compute_shapley,
    flatten,
    move,
)
from commonweal.learning.data import Dataset, LocalData
from commonweal.learning.encoding import compute_delta
from commonweal.learning.memory import (
    InvalidMemory,
    ScoringMemory,
    compute_sketches,
    find_contradictions,
    find_copies,
    has_seen,
    recall,
    recall_verdicts,
    remember,
)
from commonweal.learning.training import TrainingDiverged, train
from commonweal.learning.triggers import find_triggered
from commonweal.learning.weights import Weights, hash_weights
from commonweal.protocol.specs import JobSpec
from commonweal.protocol.types import SCORE_INVALID, SCORE_UNAVAILABLE, Address, Score

__all__ = [
    "Candidate",
    "InvalidMemory",
    "ScoringMemory",
    "recall_round",
    "recall_verdicts",
    "remembers_round",
    "score_updates",
]

# Random directions in d dimensions have a cosine of about 1/sqrt(d): what is below four of
# these is noise, and must never be paid for.
_NOISE_DEVIATIONS = 4.0
_NOISE_FLOOR_MAX = 0.5
_SMOOTHING = 0.5  # of clear agreement or disagreement
_REGAINING = 0.9  # of a standing below zero, when it rises
_MEMORY_WHEN_NEUTRAL = 0.95  # of the standing, when an update is neither
# Updates of five that cancel have a mean cosine of −1/4 to one another: no opposition in that.
_OPPOSED = -0.25
_OUTCAST = -1.0  # trust is lost at once, and won back slowly
_IDLE_NORM = 0.05  # of the median norm
_NORM_MAX = 1e30  # float32 ends at 3e38, and beyond this products and losses do not fit
_HARM = -6.0  # standard errors of the leave-one-out loss
_TRIGGER_COST = 1.0  # off the agreement that goes into a standing
_CLEAR_EFFECT = 2.0  # standard errors of the loss; what is below may be chance
_SHAPLEY_ORDERS, _SHAPLEY_TOLERANCE = 10, 0.05
_UNIT = 1000
_LEVELS = ((0.5, 4), (0.2, 3), (0.0, 2))  # (share of the median contribution, level)

Vectors = NDArray[np.float32]
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A revealed update: its decoded delta, or why there is none."""

    member: int
    trainer: Address
    delta: Weights | None
    fault: Literal["unavailable", "invalid"] | None = None


@dataclass(frozen=True, slots=True)
class _View:
    """The n updates of a round that can be measured, as unit vectors and norms.

    `faults`: the scores of the others.
    """

    members: tuple[int, ...]
    units: Vectors  # (n, d)
    norms: Values  # (n,)
    faults: dict[int, Score]

    def choose(self, which: NDArray[np.bool]) -> _View:
        members = tuple(m for m, is_in in zip(self.members, which, strict=True) if is_in)
        return _View(members, self.units[which], self.norms[which], self.faults)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One validator's view of n usable updates; every array is (n,)."""

    members: tuple[int, ...]
    copies: frozenset[int]
    turned: frozenset[int]  # against what they sent before
    sizes: Values  # norms as parts of the usual one, at most 1
    agreement: Values
    triggered: NDArray[np.bool]  # by something that others' models see as well
    structure: Values  # greatest |cosine| to anything trusted: noise has none
    harm: Values  # change of the validator's loss without the update, in standard errors
    floor: float


def score_updates(
    spec: JobSpec,
    parent: Weights,
    candidates: Sequence[Candidate],
    local: LocalData,
    memory: ScoringMemory,
    *,
    seed: int,
) -> tuple[dict[int, Score], ScoringMemory]:
    """A score per member, and the memory to use in the next round.

    65534 and 65535 for faulty candidates, else 0 or a useful score. `memory` is not changed, so
    scoring one round again from the same memory gives the same ballot. Holds all deltas flat.
    """
    view = _look_at(parent, candidates)
    base = hash_weights(parent)
    sketches = compute_sketches(memory.key, view.units)
    copies = frozenset(find_copies(memory, view.members, sketches, base))
    standing: dict[int, float] = {}
    if spec.scoring.rule == "agreement-and-leave-one-out":
        turned = frozenset(find_contradictions(memory, view.members, sketches))
        seen = _measure(spec, parent, view, copies, turned, memory, local, seed)
        standing = _update_standing(memory.standing, seen)
        scores = _to_scores(seen, standing)
    else:
        scores = _score_by_one_thing(spec, parent, view, copies, local, seed)
    fresh = [at for at, member in enumerate(view.members) if member not in copies]
    kept = tuple(view.members[at] for at in fresh)
    after = remember(memory, standing, kept, sketches[fresh], base, copies)
    return {**view.faults, **scores}, after


def recall_round(
    memory: ScoringMemory, parent: Weights, candidates: Sequence[Candidate]
) -> ScoringMemory:
    """Learn what was sent in an earlier round, from `parent`, that this validator did not judge.

    Else an update of that round could be sent again to whoever sits for the first time.
    """
    if remembers_round(memory, parent):
        return memory
    view = _look_at(parent, candidates)
    if not view.members:
        return memory
    base = hash_weights(parent)
    sketches = compute_sketches(memory.key, view.units)
    copies = find_copies(memory, view.members, sketches, base)
    fresh = [at for at, member in enumerate(view.members) if member not in copies]
    return recall(memory, [view.members[at] for at in fresh], sketches[fresh], base)


def remembers_round(memory: ScoringMemory, parent: Weights) -> bool:
    """Whether updates of a round that started from `parent` are remembered."""
    return has_seen(memory, hash_weights(parent))


def _look_at(parent: Weights, candidates: Sequence[Candidate]) -> _View:
    """Nothing is measured on an update before its names, shapes, types and norm are checked."""
    faults: dict[int, Score] = {}
    sound: list[tuple[int, Weights, float]] = []
    for candidate in candidates:
        delta = candidate.delta
        if candidate.fault == "unavailable":
            faults[candidate.member] = SCORE_UNAVAILABLE
        elif candidate.fault is None and delta is not None and _fits(delta, parent):
            sound.append((candidate.member, delta, compute_norm(delta)))
        else:
            faults[candidate.member] = SCORE_INVALID
    faults |= {member: SCORE_INVALID for member, _, norm in sound if not np.isfinite(norm)}
    # Well formed, so nobody is slashed for it, and of no use to anybody.
    faults |= {member: Score(0) for member, _, norm in sound if _NORM_MAX < norm < np.inf}
    sound = [each for each in sound if each[0] not in faults]
    norms = [norm for _, _, norm in sound]
    units = flatten([delta for _, delta, _ in sound], parent, norms)
    members = tuple(member for member, _, _ in sound)
    return _View(members, units, np.array(norms, np.float64), faults)


def _fits(delta: Weights, parent: Weights) -> bool:
    return delta.keys() == parent.keys() and all(
        delta[name].shape == tensor.shape and delta[name].dtype == tensor.dtype
        for name, tensor in parent.items()
    )


def _score_by_one_thing(
    spec: JobSpec,
    parent: Weights,
    view: _View,
    copies: frozenset[int],
    local: LocalData,
    seed: int,
) -> dict[int, Score]:
    """Copies and idle updates earn nothing under any rule, and have no part in the measuring."""
    size = float(np.median(view.norms)) if len(view.norms) else 0.0
    works = _are_new(view.members, copies) & (view.norms > 0) & (view.norms >= _IDLE_NORM * size)
    contributions = np.zeros(len(view.members))
    if works.any():
        contributions[works] = _measure_one_thing(spec, parent, view.choose(works), local, seed)
    return _to_levels(view.members, contributions)


def _measure_one_thing(
    spec: JobSpec, parent: Weights, view: _View, local: LocalData, seed: int
) -> Values:
    """What the rules that ask one question go by: a contribution per update, (n,)."""
    data = local.to_judge_by()
    if spec.scoring.rule == "agreement":
        cosines = view.units @ _train_reference(spec, parent, data, seed)
        return np.where(cosines > _noise_floor(view.units.shape[1]), cosines, 0).astype(np.float64)
    # The median of all: an outlier alone in a coalition would be its own measure.
    size = float(np.median(view.norms))
    coalitions = Coalitions(spec, parent, view.units, view.norms, size, data)
    if spec.scoring.rule == "leave-one-out":
        effects = compute_leave_one_out(coalitions, np.ones(len(view.members), np.bool))
        return np.where(effects > _CLEAR_EFFECT, effects, 0.0)
    return compute_shapley(
        coalitions, orders=_SHAPLEY_ORDERS, tolerance=_SHAPLEY_TOLERANCE, seed=seed
    )


def _noise_floor(dimensions: int) -> float:
    return float(min(_NOISE_DEVIATIONS / np.sqrt(dimensions), _NOISE_FLOOR_MAX))


def _measure(
    spec: JobSpec,
    parent: Weights,
    view: _View,
    copies: frozenset[int],
    turned: frozenset[int],
    memory: ScoringMemory,
    local: LocalData,
    seed: int,
) -> Measurement:
    members, units, norms = view.members, view.units, view.norms
    data = local.to_judge_by()
    reference = _train_reference(spec, parent, data, seed)
    floor = _noise_floor(units.shape[1])
    cosines = (units @ reference).astype(np.float64)
    trust = _compute_trust(members, cosines, copies, memory, floor)
    size = _usual_norm(norms, trust)
    pairs = (units @ units.T).astype(np.float64)
    np.fill_diagonal(pairs, 0.0)
    known = np.array([memory.standing.get(member, 0.0) > floor for member in members], bool)
    links = np.abs(pairs * (known | (trust > 0)))
    structure = np.maximum(np.abs(cosines), links.max(axis=1, initial=0.0))
    harm = compute_leave_one_out(Coalitions(spec, parent, units, norms, size, data), trust > 0)
    agreement = _agree(cosines, pairs, trust)
    agreeing = _are_new(members, copies) & (agreement > _OPPOSED) & (structure > floor)
    # One by one, and no copy of all: they may be gigabytes.
    equally_long = (move(parent, unit, np.float32(size)) for unit in compress(units, agreeing))
    triggered = np.zeros(len(members), np.bool)
    own = move(parent, reference, np.float32(size))
    triggered[agreeing] = find_triggered(spec, parent, own, equally_long, data)
    sizes = np.minimum(norms / size, 1.0) if size > 0 else np.zeros(len(norms))
    return Measurement(members, copies, turned, sizes, agreement, triggered, structure, harm, floor)


def _compute_trust(
    members: Sequence[int],
    cosines: Values,
    copies: frozenset[int],
    memory: ScoringMemory,
    floor: float,
) -> Values:
    """How much each update vouches for others, (n,): its cosine to the reference, above noise.

    A group that failed before must not vouch for itself in a round where directions are few.
    """
    failed = [memory.standing.get(member, np.inf) <= floor for member in members]
    eligible = _are_new(members, copies) & ~np.array(failed, np.bool)
    return np.where((cosines > floor) & eligible, cosines, 0.0)


def _are_new(members: Sequence[int], copies: frozenset[int]) -> NDArray[np.bool]:
    return np.array([member not in copies for member in members], np.bool)


def _usual_norm(norms: Values, trust: Values) -> float:
    """The median norm of the trusted: a majority that sends next to nothing must not set it."""
    counted = norms[trust > 0] if (trust > 0).any() else norms
    return float(np.median(counted)) if len(counted) else 0.0


def _train_reference(spec: JobSpec, parent: Weights, data: Dataset, seed: int) -> Vectors:
    """The direction in which this validator's own data move the model, a unit vector (d,).

    Zero where they move it to no number: then no update is of use, and the seat still votes.
    """
    length = {"epochs": spec.scoring.reference_epochs, "steps": None}
    training = spec.training.model_copy(update=length)
    try:
        result = train(spec.model_copy(update={"training": training}), parent, data, seed=seed)
    except TrainingDiverged:
        return np.zeros(sum(tensor.size for tensor in parent.values()), np.float32)
    delta = compute_delta(result.weights, parent)
    reference: Vectors = flatten([delta], parent, [compute_norm(delta)])[0]
    return reference


def _agree(cosines: Values, pairs: Values, trust: Values) -> Values:
    """Cosine of each update to the reference plus the trusted others, weighted by their trust.

    The others lift the signal of an honest update far above noise when each validator's own
    data are few; they count only as far as the reference vouches for them.
    """
    others = pairs * trust  # (n, n): what each other contributes to the centre seen by the row
    along = cosines + others.sum(axis=1)
    squares = np.empty(len(cosines))
    for at in range(len(cosines)):
        weights = trust.copy()
        weights[at] = 0.0
        gram = pairs + np.eye(len(cosines))
        squares[at] = 1.0 + 2.0 * (weights @ cosines) + weights @ gram @ weights
    agreement: Values = along / np.sqrt(np.maximum(squares, 1e-12))
    return agreement


def _update_standing(before: Mapping[int, float], seen: Measurement) -> dict[int, float]:
    """Smoothed agreement; a copy has none, so a member that copies starts anew.

    Where averaging has converged, honest updates cancel: their agreement is near zero although each
    has a direction. That is no news about its sender, and fades an earned standing slowly only.
    Where the others do agree, one that does not is news.
    """
    standing = {}
    least = _OPPOSED + max(0.0, _typical_agreement(seen))
    for at, member in enumerate(seen.members):
        agreement = float(seen.agreement[at])
        neutral = least < agreement < seen.floor and seen.structure[at] > seen.floor
        known = before.get(member, agreement)
        kept = _MEMORY_WHEN_NEUTRAL if neutral else _REGAINING if known < 0 else _SMOOTHING
        news = agreement - _TRIGGER_COST * float(seen.triggered[at])
        smoothed = kept * known + (1 - kept) * news
        if agreement < _OPPOSED or member in seen.turned:
            smoothed = min(smoothed, _OUTCAST)
        standing[member] = 0.0 if member in seen.copies else smoothed
    return standing


def _typical_agreement(seen: Measurement) -> float:
    """The median over updates that are new and not opposed."""
    counted = seen.agreement[_are_new(seen.members, seen.copies) & (seen.agreement > _OPPOSED)]
    return float(np.median(counted)) if len(counted) else 0.0


def _to_scores(seen: Measurement, standing: Mapping[int, float]) -> dict[int, Score]:
    worth = {}
    for at, member in enumerate(seen.members):
        useful = _is_useful(seen, at, standing)
        worth[member] = standing[member] * float(seen.sizes[at]) if useful else 0.0
    return _to_levels(seen.members, np.array([worth[member] for member in seen.members]))


def _is_useful(seen: Measurement, at: int, standing: Mapping[int, float]) -> bool:
    return (
        seen.members[at] not in seen.copies
        and float(seen.sizes[at]) >= _IDLE_NORM
        and not seen.triggered[at]
        and standing[seen.members[at]] > seen.floor
        and float(seen.structure[at]) > seen.floor
        and float(seen.agreement[at]) > _OPPOSED
        and (float(seen.harm[at]) > _HARM or float(seen.agreement[at]) > seen.floor)
    )


def _to_levels(members: Sequence[int], contributions: Values) -> dict[int, Score]:
    contributions = np.nan_to_num(contributions, nan=0.0, posinf=0.0, neginf=0.0)
    paid = contributions[contributions > 0]
    ratios = contributions / np.median(paid) if len(paid) else contributions
    return {m: _to_level(ratio) for m, ratio in zip(members, ratios.tolist(), strict=True)}


def _to_level(ratio: float) -> Score:
    if ratio <= 0:
        return Score(0)
    return Score(_UNIT * next(level for least, level in _LEVELS if ratio >= least))
