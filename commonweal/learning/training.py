"""Local training and evaluation: seeded, one thread, the same bytes from run to run on one machine.

Torch is imported when used.
"""

from __future__ import annotations

from dataclasses import dataclass

from commonweal.learning.data import Dataset
from commonweal.learning.weights import Weights
from commonweal.protocol.specs import JobSpec


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """`loss` is the mean over the last epoch's batches."""

    weights: Weights
    samples: int
    loss: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    loss: float
    accuracy: float


def train(spec: JobSpec, weights: Weights, data: Dataset, *, seed: int) -> TrainingResult:
    """Train from `weights` as the spec says; `seed` orders the batches. Inputs are not changed.

    Raises TrainingDiverged when a weight or the loss is no longer finite.
    """
    raise NotImplementedError


def evaluate(spec: JobSpec, weights: Weights, data: Dataset) -> Evaluation:
    """Mean loss and accuracy of a model."""
    raise NotImplementedError
