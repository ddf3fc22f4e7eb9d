"""A job from its first round to its last: real training, real ballots, the chain's own arithmetic.

Only transport and chain are left out: who is paid what is what the contracts would pay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.attacks.attacks import ATTACKS, TARGET, Attack, Scene, Vector, Vectors, mark
from bench.attacks.liars import LIES, Courtroom
from bench.attacks.tasks import Task
from commonweal.learning.aggregation import ScoredUpdate, aggregate
from commonweal.learning.data import Dataset
from commonweal.learning.scoring import (
    Candidate,
    ScoringMemory,
    recall_round,
    recall_verdicts,
    score_updates,
)
from commonweal.learning.training import evaluate, train
from commonweal.learning.weights import Weights, initial_weights
from commonweal.protocol.committee import draw_committee
from commonweal.protocol.rewards import compute_quantum, split_round
from commonweal.protocol.types import (
    SCORE_INVALID,
    ZERO_DIGEST,
    Address,
    Bps,
    Digest,
    JobParameters,
    Score,
    Verdict,
    Wei,
)
from commonweal.protocol.verdicts import tally

COMMITTEE = 5
_CACHED_BYTES = 200 * 2**20
PRICE = Wei(100 * 10**18)  # per round
STAKE = Wei(100 * 10**18)  # in the job
INVALID_SLASH_BPS = 500
# What a round costs a trainer, as a part of an equal share of the trainers' pool.
COST = {"trains": 0.25, "idles": 0.05}
_REMEMBERED = 8  # rounds, as nodes do
_LAST = 3  # rounds whose accuracies are averaged


@dataclass(frozen=True, slots=True)
class Plan:
    """`liars`: seats that lie, of the five."""

    attack: str | None  # None: those who would attack stay away
    attackers: int
    liars: int
    lie: str
    seed: int


@dataclass(slots=True)
class TrainingCache:
    """What members made of a model in runs of one task: attacks that fail leave it the same."""

    task: Task
    deltas: dict[tuple[int, int, bytes], Vector] = field(default_factory=dict)

    def train(self, member: int, data: Dataset, model: Weights, round_: int, seed: int) -> Vector:
        base = hashlib.sha256(_flatten(model).tobytes()).digest()
        key = member, round_, base
        if key not in self.deltas:
            result = train(self.task.spec, model, data, seed=seed)
            self.deltas[key] = _flatten(result.weights) - _flatten(model)
            if len(self.deltas) * self.deltas[key].nbytes > _CACHED_BYTES:
                self.deltas.pop(next(iter(self.deltas)))
        return self.deltas[key]


@dataclass(slots=True)
class Ledger:
    """Wei by trainer, over the whole job."""

    paid: dict[int, int] = field(default_factory=dict)
    slashed: dict[int, int] = field(default_factory=dict)
    paid_for_attacks: int = 0

    def pay(self, member: int, amount: int, *, tampered: bool) -> None:
        self.paid[member] = self.paid.get(member, 0) + amount
        if tampered:
            self.paid_for_attacks += amount


@dataclass(frozen=True, slots=True)
class Result:
    accuracy: float
    backdoor_success: float
    honest_pay_share: float
    attack_pay_share: float  # for tampered updates: attackers may send honest ones as well
    lowest_over_median_honest_pay: float
    best_attacker_profit: float  # of an equal share of the trainers' pool per round


class Network:
    def __init__(self, task: Task, plan: Plan, cache: TrainingCache | None = None) -> None:
        """`cache`: of the same task and seed."""
        self.task, self.plan = task, plan
        self.cache = cache or TrainingCache(task)
        self.random = np.random.default_rng([plan.seed, plan.attackers])
        order = self.random.permutation(len(task.parts))
        self.attackers = sorted(order[: plan.attackers].tolist())
        self.honest = sorted(order[plan.attackers :].tolist())
        self.attack = ATTACKS[plan.attack] if plan.attack else None
        self.members = sorted([*self.honest, *self.attackers]) if plan.attack else self.honest
        self.model = initial_weights(task.spec.model, task.spec.training.seed)
        self.memories: dict[int, ScoringMemory] = {}
        self.ledger = Ledger()
        self.accuracies: list[float] = []
        self._before: tuple[Weights, Sequence[Candidate]] | None = None
        self._last: tuple[Vectors, Vectors] | None = None
        self._sent: Vectors | None = None
        self._paid: set[int] = set()
        self._tampering: set[int] = set()  # who sent something else than honest training gives
        self._rejections: dict[int, list[bool]] = {}
        self._step: Vector = np.zeros(_count(self.model), np.float32)
        self._data = {m: self._load(m) for m in range(len(task.parts))}

    def run(self) -> Result:
        for round_ in range(1, self.task.rounds + 1):
            self._play(round_)
            self.accuracies.append(evaluate(self.task.spec, self.model, self.task.test).accuracy)
        return self._conclude()

    def _load(self, member: int) -> Dataset:
        """What the member trains on."""
        part = self.task.parts[member]
        data = part.to_train_on(self.task.spec.data)
        if self.attack is None or member not in self.attackers:
            return data
        if not self.attack.uses_own_data:
            return part.holdout
        return self.attack.poison(data, self.random) if self.attack.poison else data

    def _play(self, round_: int) -> None:
        deltas = {m: self._train(m, round_) for m in self.members}
        committee = self._draw(round_)
        sent = dict(deltas)
        if self.attack is not None:
            crafted = self._craft(self.attack, round_, deltas, committee)
            sent.update(zip(self.attackers, crafted, strict=True))
            self._sent = crafted
            self._tampering = self._find_tampering(self.attack, sent, deltas)
        candidates = [
            Candidate(m, _address(m), _unflatten(delta, self.model)) for m, delta in sent.items()
        ]
        scores = self._judge(round_, committee, candidates)
        self._paid = {m for m in scores if Verdict.of(scores[m]) is Verdict.VERIFIED}
        self._note_rejections(scores)
        self._before = self.model, candidates
        self._advance(scores, candidates)

    def _train(self, member: int, round_: int) -> Vector:
        seed = _seed(self.plan.seed, round_, member)
        data = self._data[member]
        if member not in self.attackers or not self._trains_otherwise():
            return self.cache.train(member, data, self.model, round_, seed)
        result = train(self.task.spec, self.model, data, seed=seed)
        return _flatten(result.weights) - _flatten(self.model)

    def _trains_otherwise(self) -> bool:
        """Whether attackers learn from something else than an honest trainer would."""
        attack = self.attack
        return attack is not None and (attack.poison is not None or not attack.uses_own_data)

    def _train_on_validation_set(self, round_: int) -> Vector:
        seed = _seed(self.plan.seed, round_, -1)
        return self.cache.train(-1, self.task.parts[0].holdout, self.model, round_, seed)

    def _draw(self, round_: int) -> tuple[int, ...]:
        """Judges are honest trainers; as many of them as the plan says will lie."""
        seed = hashlib.sha256(f"{self.plan.seed} {round_}".encode()).digest()
        return draw_committee([(m, 100) for m in self.honest], COMMITTEE, seed)

    def _craft(
        self, attack: Attack, round_: int, deltas: dict[int, Vector], committee: Sequence[int]
    ) -> Vectors:
        honest = np.stack([deltas[m] for m in self.honest])
        own = np.stack([deltas[m] for m in self.attackers])
        last_honest, last_own = self._last or (None, None)
        scene = Scene(
            round=round_,
            honest=honest,
            own=own,
            last_honest=last_honest,
            last_own=last_own,
            last_step=self._step,
            references=np.stack([deltas[m] for m in committee]),
            validation=self._train_on_validation_set(round_) if attack.studies_validation else None,
            paid=np.array([m in self._paid for m in self.attackers], np.bool),
            last_sent=self._sent,
            random=self.random,
        )
        if attack.name != "free-rider-stale" or self._last is None:
            self._last = (honest, own)
        return attack.craft(scene)

    def _find_tampering(
        self, attack: Attack, sent: dict[int, Vector], trained: dict[int, Vector]
    ) -> set[int]:
        """Who of the attackers trained on other data, or sent not what it trained."""
        if self._trains_otherwise():
            return set(self.attackers)
        return {m for m in self.attackers if not np.array_equal(sent[m], trained[m])}

    def _judge(
        self, round_: int, committee: Sequence[int], candidates: Sequence[Candidate]
    ) -> dict[int, Score]:
        ballots = {}
        for seat, judge in enumerate(committee):
            memory = self.memories.get(judge) or ScoringMemory(key=_seed(self.plan.seed, 0, judge))
            if self._before is not None:
                memory = recall_round(memory, *self._before)
            memory = recall_verdicts(memory, self._rejections)
            ballot, self.memories[judge] = score_updates(
                self.task.spec,
                self.model,
                candidates,
                self.task.parts[judge],
                memory,
                seed=_seed(self.plan.seed, round_, 1000 + judge),
            )
            if seat < self.plan.liars:
                court = Courtroom(ballot, frozenset(self.attackers), self.random)
                ballot = LIES[self.plan.lie](court)
            ballots[seat] = [ballot[c.member] for c in candidates]
        members = [c.member for c in candidates]
        result = tally(members, committee, ballots)
        terms = _terms(len(members))
        split = split_round(terms, QUANTUM, members, result, committee)
        seats = dict.fromkeys(members, 0)
        pool = PRICE * terms.validator_share_bps // 10_000
        for judge, share in zip(committee, result.shares, strict=True):
            seats[judge] += pool // COMMITTEE * share // 10_000 // QUANTUM
        for member, units in split.payments:
            amount = (units - seats[member]) * QUANTUM
            self.ledger.pay(member, amount, tampered=member in self._tampering)
        return dict(zip(members, result.scores, strict=True))

    def _note_rejections(self, scores: dict[int, Score]) -> None:
        for member, score in scores.items():
            before = self._rejections.get(member, [])[1 - _REMEMBERED :]
            self._rejections[member] = [*before, Verdict.of(score) is not Verdict.VERIFIED]

    def _advance(self, scores: dict[int, Score], candidates: Sequence[Candidate]) -> None:
        for member, score in scores.items():
            if score == SCORE_INVALID:
                lost = STAKE * INVALID_SLASH_BPS // 10_000
                self.ledger.slashed[member] = self.ledger.slashed.get(member, 0) + lost
        verified = [
            ScoredUpdate(c.trainer, scores[c.member], c.delta)
            for c in candidates
            if c.delta is not None and Verdict.of(scores[c.member]) is Verdict.VERIFIED
        ]
        if not verified:  # the round fails, the model stays
            self._step = np.zeros_like(self._step)
            return
        before = _flatten(self.model)
        self.model = aggregate(self.task.spec.aggregation, self.model, verified)
        self._step = _flatten(self.model) - before

    def _conclude(self) -> Result:
        honest = [self.ledger.paid.get(m, 0) for m in self.honest]
        taken = [self.ledger.paid.get(m, 0) for m in self.members if m in self.attackers]
        total = sum(honest) + sum(taken)
        middle = float(np.median(honest))
        return Result(
            accuracy=float(np.mean(self.accuracies[-_LAST:])),
            backdoor_success=self._measure_backdoor(),
            honest_pay_share=sum(honest) / total if total else 0.0,
            attack_pay_share=self.ledger.paid_for_attacks / total if total else 0.0,
            lowest_over_median_honest_pay=min(honest) / middle if middle else 0.0,
            best_attacker_profit=max(map(self._profit, self.attackers)) if self.attack else 0.0,
        )

    def _profit(self, member: int) -> float:
        assert self.attack is not None
        trainers = len(self.task.parts)
        fair = PRICE * 75 // 100 / trainers * self.task.rounds
        earned = self.ledger.paid.get(member, 0) - self.ledger.slashed.get(member, 0)
        return earned / fair - self._cost(self.attack)

    def _cost(self, attack: Attack) -> float:
        """Per round, in parts of an equal share of the trainers' pool."""
        trained = attack.trained_rounds / self.task.rounds
        return COST[attack.effort] + trained * (COST["trains"] - COST["idles"])

    def _measure_backdoor(self) -> float:
        """Of the marked test pictures of other classes, those taken for the target."""
        others = self.task.test.y != TARGET
        marked = mark(self.task.test.x[others])
        target = np.full(len(marked), TARGET, np.int64)
        return evaluate(self.task.spec, self.model, Dataset(marked, target)).accuracy


QUANTUM = compute_quantum(Wei(PRICE * 25))


def _terms(trainers: int) -> JobParameters:
    nobody = Address("0x" + "00" * 20)
    return JobParameters(
        spec_digest=Digest(ZERO_DIGEST),
        initial_model=Digest(ZERO_DIGEST),
        rounds=25,
        price_per_round=PRICE,
        validator_share_bps=Bps(2000),
        coordinator_share_bps=Bps(500),
        coordinator=nobody,
        min_trainers=3,
        max_trainers=trainers,
        committee_size=COMMITTEE,
        min_stake=STAKE,
        commit_window=60,
        reveal_window=60,
        ballot_commit_window=60,
        ballot_reveal_window=60,
        attest_window=60,
        recruit_until=0,
        max_failed_rounds=25,
        allowlist_root=ZERO_DIGEST,
    )


def _address(member: int) -> Address:
    return Address(f"0x{member + 1:040x}")


def _seed(*parts: int) -> int:
    text = " ".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:7])


def _count(model: Weights) -> int:
    return sum(tensor.size for tensor in model.values())


def _flatten(model: Weights) -> Vector:
    return np.concatenate([model[name].reshape(-1) for name in sorted(model)])


def _unflatten(flat: Vector, like: Weights) -> Weights:
    parts: dict[str, np.ndarray] = {}
    start = 0
    for name in sorted(like):
        size = like[name].size
        parts[name] = flat[start : start + size].reshape(like[name].shape).astype(np.float32)
        start += size
    return parts
