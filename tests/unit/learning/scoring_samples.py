"""A small job of blobs, four honest trainers' data and updates of all kinds."""

from __future__ import annotations

import numpy as np
from learning_samples import address

from commonweal.learning.data import Dataset, LocalData
from commonweal.learning.encoding import compute_delta
from commonweal.learning.scoring import Candidate, ScoringMemory
from commonweal.learning.training import train
from commonweal.learning.weights import Weights, initial_weights
from commonweal.protocol.specs import (
    DataSpec,
    JobSpec,
    MlpModel,
    ScoringSpec,
    TrainingSpec,
)

SPEC = JobSpec(
    name="blobs",
    model=MlpModel(inputs=16, hidden=(64,), classes=4),
    training=TrainingSpec(epochs=2, learning_rate=0.05),
    scoring=ScoringSpec(reference_epochs=2),
    data=DataSpec(features=(16,), classes=4),
)
PARENT = initial_weights(SPEC.model, 0)
CENTRES = np.random.default_rng(0).standard_normal((4, 16))
MEMORY = ScoringMemory(key=7)
HONEST = range(4)


def make_data(seed: int, size: int = 120) -> Dataset:
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 4, size)
    return Dataset((CENTRES[y] + generator.standard_normal((size, 16))).astype(np.float32), y)


def make_local(seed: int) -> LocalData:
    return LocalData(make_data(seed), make_data(seed + 1000, 30))


def train_delta(seed: int, parent: Weights = PARENT, data: Dataset | None = None) -> Weights:
    data = make_data(seed) if data is None else data
    return compute_delta(train(SPEC, parent, data, seed=seed).weights, parent)


def scaled(delta: Weights, factor: float) -> Weights:
    return {name: np.float32(factor) * tensor for name, tensor in delta.items()}


def candidate(member: int, delta: Weights | None, fault=None) -> Candidate:
    return Candidate(member, address(member + 1), delta, fault)


def noise(seed: int) -> Weights:
    generator = np.random.default_rng(seed)
    return {n: generator.standard_normal(t.shape).astype(np.float32) for n, t in PARENT.items()}
