"""What one validator thinks of a round's updates: a ballot score for each.

Four questions, in this order. Is it new (no copy of another's or of an earlier update)? Does it
agree with what this validator learns from its own data (cosine to a trusted reference, as in
FLTrust, Cao et al. 2021), now and over the rounds? Does it point anywhere at all, or is it noise?
Does the aggregate get worse with it (leave-one-out)? The contract takes the median of the
committee's ballots, so scores are few coarse levels: validators who measure a little differently
still say the same.
Torch is imported when used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from commonweal.learning.aggregation import compute_norm
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
    remember,
)
from commonweal.learning.training import evaluate_samples, train
from commonweal.learning.triggers import find_triggered
from commonweal.learning.weights import Weights, encode_weights
from commonweal.protocol.specs import JobSpec
from commonweal.protocol.types import SCORE_INVALID, SCORE_UNAVAILABLE, Address, Score

__all__ = [
    "Candidate",
    "InvalidMemory",
    "ScoringMemory",
    "recall_round",
    "remembers_round",
    "score_updates",
]

# Random directions in d dimensions have a cosine of about 1/sqrt(d): what is below four or
# five of these is noise, and must never be paid for.
_NOISE_DEVIATIONS = 5.0
_NOISE_FLOOR_MAX = 0.5
_SMOOTHING = 0.5  # of clear agreement or disagreement
_MEMORY_WHEN_NEUTRAL = 0.95  # of the standing, when an update is neither
# Updates of five that cancel have a mean cosine of −1/4 to one another: no opposition in that.
_OPPOSED = -0.25
_OUTCAST = -1.0  # trust is lost at once, and won back slowly
_IDLE_NORM = 0.05  # of the median norm
_HARM = -6.0  # standard errors of the leave-one-out loss
_MARKED = 0.5  # off the agreement
_UNIT = 1000
_LEVELS = ((0.7, 4), (0.35, 3), (0.0, 2))  # (share of the median contribution, level)

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
class Measurement:
    """One validator's view of n usable updates; every array is (n,)."""

    members: tuple[int, ...]
    copies: frozenset[int]
    turned: frozenset[int]  # against what they sent before
    norms: Values
    agreement: Values
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
    faults = {c.member: _fault_score(c, parent) for c in candidates}
    usable = [c for c in candidates if faults[c.member] is None]
    units, norms = _flatten([c.delta for c in usable if c.delta is not None], parent)
    base = _identify(parent)
    sketches = compute_sketches(memory.key, units)
    members = tuple(c.member for c in usable)
    copies = frozenset(find_copies(memory, members, sketches, base))
    turned = frozenset(find_contradictions(memory, members, sketches))
    seen = _measure(spec, parent, members, copies, turned, memory, units, norms, local, seed)
    standing = _update_standing(memory.standing, seen)
    scores = _to_scores(seen, standing)
    ballot = {
        member: scores[member] if score is None else score for member, score in faults.items()
    }
    fresh = [at for at, member in enumerate(members) if member not in copies]
    kept = tuple(members[at] for at in fresh)
    return ballot, remember(memory, standing, kept, sketches[fresh], base)


def recall_round(
    memory: ScoringMemory, parent: Weights, candidates: Sequence[Candidate]
) -> ScoringMemory:
    """Learn what was sent in an earlier round, from `parent`, that this validator did not judge.

    Else an update of that round could be sent again to whoever sits for the first time.
    """
    usable = [c for c in candidates if _fault_score(c, parent) is None]
    if remembers_round(memory, parent) or not usable:
        return memory
    base = _identify(parent)
    units, _ = _flatten([c.delta for c in usable if c.delta is not None], parent)
    members = [c.member for c in usable]
    sketches = compute_sketches(memory.key, units)
    copies = find_copies(memory, members, sketches, base)
    fresh = [at for at, member in enumerate(members) if member not in copies]
    return recall(memory, [members[at] for at in fresh], sketches[fresh], base)


def remembers_round(memory: ScoringMemory, parent: Weights) -> bool:
    """Whether updates of a round that started from `parent` are remembered."""
    return has_seen(memory, _identify(parent))


def _identify(model: Weights) -> bytes:
    return hashlib.sha256(encode_weights(model)).digest()


def _fault_score(candidate: Candidate, parent: Weights) -> Score | None:
    if candidate.fault == "unavailable":
        return SCORE_UNAVAILABLE
    delta = candidate.delta
    if candidate.fault == "invalid" or delta is None or delta.keys() != parent.keys():
        return SCORE_INVALID
    same = all(delta[name].shape == tensor.shape for name, tensor in parent.items())
    return None if same and np.isfinite(compute_norm(delta)) else SCORE_INVALID


def _measure(
    spec: JobSpec,
    parent: Weights,
    members: tuple[int, ...],
    copies: frozenset[int],
    turned: frozenset[int],
    memory: ScoringMemory,
    units: Vectors,
    norms: Values,
    local: LocalData,
    seed: int,
) -> Measurement:
    data = _join(local.train, local.holdout)
    reference = _train_reference(spec, parent, data, seed)
    floor = min(_NOISE_DEVIATIONS / np.sqrt(units.shape[1]), _NOISE_FLOOR_MAX)
    cosines = (units @ reference).astype(np.float64)
    trust = np.where(cosines > floor, cosines, 0.0)
    trust[[at for at, member in enumerate(members) if member in copies]] = 0.0
    pairs = (units @ units.T).astype(np.float64)
    np.fill_diagonal(pairs, 0.0)
    known = np.array([memory.standing.get(member, 0.0) > floor for member in members], bool)
    links = np.abs(pairs * (known | (trust > 0)))
    structure = np.maximum(np.abs(cosines), links.max(axis=1, initial=0.0))
    harm = _leave_one_out(spec, parent, units * norms[:, None].astype(np.float32), trust > 0, data)
    agreement = _agree(cosines, pairs, trust)
    agreeing = np.flatnonzero((agreement > _OPPOSED) & (structure > floor))
    size = float(np.median(norms)) if len(norms) else 0.0
    models = (_moved(parent, size * unit) for unit in units[agreeing])
    marked = find_triggered(spec, models, data)
    agreement[agreeing[marked]] -= _MARKED
    return Measurement(members, copies, turned, norms, agreement, structure, harm, floor)


def _train_reference(spec: JobSpec, parent: Weights, data: Dataset, seed: int) -> Vectors:
    """The direction in which this validator's own data move the model, a unit vector (d,)."""
    length = {"epochs": spec.scoring.reference_epochs, "steps": None}
    training = spec.training.model_copy(update=length)
    result = train(spec.model_copy(update={"training": training}), parent, data, seed=seed)
    units, _ = _flatten([compute_delta(result.weights, parent)], parent)
    reference: Vectors = units[0]
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


def _leave_one_out(
    spec: JobSpec, parent: Weights, deltas: Vectors, trusted: NDArray[np.bool], data: Dataset
) -> Values:
    """How much each update lowers the loss of the trusted ones' mean, in standard errors."""
    effects = np.zeros(len(deltas))
    for at in range(len(deltas)):
        others = trusted.copy()
        others[at] = False
        together = others.copy()
        together[at] = True
        without = _losses(spec, parent, deltas, others, data)
        change = without - _losses(spec, parent, deltas, together, data)
        effects[at] = change.mean() / (change.std() / np.sqrt(len(data)) + 1e-12)
    return effects


def _losses(
    spec: JobSpec, parent: Weights, deltas: Vectors, chosen: NDArray[np.bool], data: Dataset
) -> Values:
    """Loss per sample of the parent moved by the mean of the chosen, clipped to the median norm."""
    if not chosen.any():
        return evaluate_samples(spec, parent, data)[0]
    norms = np.linalg.norm(deltas, axis=1)
    limit = np.median(norms[chosen])
    scales = np.minimum(1.0, limit / np.maximum(norms, 1e-30))[chosen]
    step = (deltas[chosen] * scales[:, None].astype(np.float32)).mean(axis=0)
    return evaluate_samples(spec, _moved(parent, step), data)[0]


def _moved(parent: Weights, step: Vectors) -> Weights:
    moved, start = {}, 0
    for name, tensor in parent.items():
        part = step[start : start + tensor.size].reshape(tensor.shape)
        moved[name] = tensor + part
        start += tensor.size
    return moved


def _update_standing(before: Mapping[int, float], seen: Measurement) -> dict[int, float]:
    """Smoothed agreement; a copy has none, so a member that copies starts anew.

    Where averaging has converged, honest updates cancel: their agreement is near zero although each
    has a direction. That is no news about its sender, and fades an earned standing slowly only.
    """
    standing = {}
    for at, member in enumerate(seen.members):
        agreement = float(seen.agreement[at])
        neutral = _OPPOSED < agreement < seen.floor and seen.structure[at] > seen.floor
        kept = _MEMORY_WHEN_NEUTRAL if neutral else _SMOOTHING
        smoothed = kept * before.get(member, agreement) + (1 - kept) * agreement
        if agreement < _OPPOSED or member in seen.turned:
            smoothed = min(smoothed, _OUTCAST)
        standing[member] = 0.0 if member in seen.copies else smoothed
    return standing


def _to_scores(seen: Measurement, standing: Mapping[int, float]) -> dict[int, Score]:
    size = float(np.median(seen.norms)) if len(seen.norms) else 0.0
    worth = {}
    for at, member in enumerate(seen.members):
        share = min(1.0, float(seen.norms[at]) / size) if size > 0 else 0.0
        worth[member] = standing[member] * share if _is_useful(seen, at, standing, share) else 0.0
    paid = [value for value in worth.values() if value > 0]
    middle = float(np.median(paid)) if paid else 1.0
    return {member: _to_level(value / middle) for member, value in worth.items()}


def _is_useful(seen: Measurement, at: int, standing: Mapping[int, float], share: float) -> bool:
    return (
        seen.members[at] not in seen.copies
        and share >= _IDLE_NORM
        and standing[seen.members[at]] > seen.floor
        and float(seen.structure[at]) > seen.floor
        and float(seen.agreement[at]) > _OPPOSED
        and (float(seen.harm[at]) > _HARM or float(seen.agreement[at]) > seen.floor)
    )


def _to_level(ratio: float) -> Score:
    if ratio <= 0:
        return Score(0)
    return Score(_UNIT * next(level for least, level in _LEVELS if ratio >= least))


def _flatten(deltas: Sequence[Weights], parent: Weights) -> tuple[Vectors, Values]:
    """Unit vectors (n, d) and their lengths (n,); a zero delta stays zero."""
    size = sum(tensor.size for tensor in parent.values())
    units = np.empty((len(deltas), size), np.float32)
    norms = np.array([compute_norm(delta) for delta in deltas], np.float64)
    for row, delta, norm in zip(units, deltas, norms, strict=True):
        flat = np.concatenate([delta[name].reshape(-1) for name in parent])
        row[:] = flat / norm if norm > 0 else 0.0
    return units, norms


def _join(first: Dataset, second: Dataset) -> Dataset:
    return Dataset(np.concatenate([first.x, second.x]), np.concatenate([first.y, second.y]))
