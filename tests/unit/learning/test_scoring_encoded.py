"""Scoring sees decoded deltas: honest sparse updates are no noise, and noise stays noise."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from learning_samples import address

from commonweal.learning.aggregation import ScoredUpdate, aggregate, compute_norm
from commonweal.learning.data import DigitsPart, DigitsSource, LocalData, load_dataset
from commonweal.learning.encoding import compute_delta, decode_update, encode_with_feedback
from commonweal.learning.scoring import Candidate, ScoringMemory, score_updates
from commonweal.learning.training import train
from commonweal.learning.weights import Weights, initial_weights
from commonweal.protocol.specs import (
    BlockEncoding,
    DataSpec,
    EncodingSpec,
    JobSpec,
    MlpModel,
    QuantisedTopKEncoding,
    ScoringSpec,
    TopKEncoding,
    TrainingSpec,
)

HONEST, FLIPPER, NOISE, STALE = range(4), 4, 5, 6
ROUNDS = 5


@dataclass
class Job:
    spec: JobSpec
    parts: list[LocalData]
    model: Weights
    residuals: dict[int, Weights | None] = field(default_factory=dict)
    memory: ScoringMemory = field(default_factory=lambda: ScoringMemory(key=7))
    sent: dict[int, Weights] = field(default_factory=dict)

    def play(self, round_: int) -> dict[int, int]:
        """A ballot of the first trainer on everybody's updates, then the honest ones' mean."""
        deltas = {member: self.learn(member, round_) for member in (*HONEST, FLIPPER)}
        deltas[FLIPPER] = {name: -3 * tensor for name, tensor in deltas[FLIPPER].items()}
        deltas[NOISE] = make_noise(deltas[0], round_)
        stale = self.sent.get(0)  # the first trainer's update of the round before
        self.sent = {member: self.encode(member, delta) for member, delta in deltas.items()}
        sent = self.sent if stale is None else {**self.sent, STALE: stale}
        candidates = [Candidate(m, address(m + 1), delta) for m, delta in sorted(sent.items())]
        ballot, self.memory = score_updates(
            self.spec, self.model, candidates, self.parts[0], self.memory, seed=round_
        )
        honest = [ScoredUpdate(address(m + 1), 1, sent[m]) for m in HONEST]
        self.model = aggregate(self.spec.aggregation, self.model, honest)
        return {member: int(score) for member, score in ballot.items()}

    def learn(self, member: int, round_: int) -> Weights:
        data = self.parts[member].train
        trained = train(self.spec, self.model, data, seed=10 * round_ + member)
        return compute_delta(trained.weights, self.model)

    def encode(self, member: int, delta: Weights) -> Weights:
        residual = self.residuals.get(member)
        payload, self.residuals[member] = encode_with_feedback(delta, residual, self.spec)
        return decode_update(payload, self.spec)


def make_noise(like: Weights, seed: int) -> Weights:
    generator = np.random.default_rng(seed)
    noise = {
        name: generator.standard_normal(tensor.shape).astype(np.float32)
        for name, tensor in like.items()
    }
    scale = np.float32(compute_norm(like) / compute_norm(noise))
    return {name: scale * tensor for name, tensor in noise.items()}


def make_job(encoding: EncodingSpec) -> Job:
    spec = JobSpec(
        name="digits",
        model=MlpModel(inputs=64, hidden=(128,), classes=10),
        training=TrainingSpec(
            loss="balanced-cross-entropy",
            learning_rate=0.2,
            epochs=3,
            batch_size=16,
            clip_norm=2.0,
        ),
        encoding=encoding,
        scoring=ScoringSpec(reference_epochs=3),
        data=DataSpec(features=(64,), classes=10),
    )
    sources = (DigitsSource(part=DigitsPart(parts=5, index=i, alpha=0.5)) for i in range(5))
    parts = [load_dataset(source, spec.data) for source in sources]
    return Job(spec, parts, initial_weights(spec.model, 0))


@pytest.mark.parametrize(
    "encoding",
    [
        BlockEncoding(kind="int4", block=64),
        TopKEncoding(kind="top-k", one_in=32),
        QuantisedTopKEncoding(kind="top-k-int8", one_in=32),
        QuantisedTopKEncoding(kind="top-k-int4", one_in=64),
    ],
    ids=lambda e: e.kind,
)
def test_honest_encoded_updates_are_paid_and_attackers_are_not(encoding: EncodingSpec) -> None:
    job = make_job(encoding)
    paid = dict.fromkeys((*HONEST, FLIPPER, NOISE, STALE), 0)
    for round_ in range(ROUNDS):
        for member, score in job.play(round_).items():
            paid[member] += score > 0
    assert (paid[FLIPPER], paid[NOISE], paid[STALE]) == (0, 0, 0)
    assert min(paid[member] for member in HONEST) >= ROUNDS - 1, paid
