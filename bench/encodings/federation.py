"""A job without its chain: the product's own training, encodings, feedback and aggregation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.encodings.tasks import Task
from commonweal.learning.aggregation import GlobalModel, ScoredUpdate, advance
from commonweal.learning.encoding import compute_delta, decode_update, encode_with_feedback
from commonweal.learning.training import evaluate, train
from commonweal.learning.weights import Weights, initial_weights
from commonweal.protocol.specs import EncodingSpec, JobSpec, ServerOptimiserSpec
from commonweal.protocol.types import Address

_LAST = 3  # models whose accuracies are averaged


@dataclass(frozen=True, slots=True)
class Setting:
    """`steps` batches of `batch` samples at each trainer in each of `rounds`."""

    name: str
    encoding: EncodingSpec
    rounds: int
    steps: int
    batch: int
    learning_rate: float = 0.05
    momentum: float = 0.9
    server_learning_rate: float = 1.0
    server: ServerOptimiserSpec = ServerOptimiserSpec()  # noqa: RUF009 - frozen

    @property
    def samples(self) -> int:
        """Seen by one trainer for one update."""
        return self.steps * self.batch


@dataclass(frozen=True, slots=True)
class Result:
    """`bytes`: of one update, the mean over trainers and rounds."""

    accuracy: float
    bytes: float


def run(task: Task, setting: Setting, seed: int) -> Result:
    """Deterministic for a setting and a seed, on one machine."""
    spec = _apply(task.spec, setting)
    model = GlobalModel(initial_weights(spec.model, seed))
    residuals: list[Weights | None] = [None] * len(task.parts)
    sizes, accuracies = [], []
    for round_ in range(setting.rounds):
        updates = []
        for payload, update in _make_updates(spec, model.weights, task, residuals, round_):
            sizes.append(len(payload))
            updates.append(update)
        model = advance(spec.aggregation, model, updates, seed=b"")
        if setting.rounds - round_ <= _LAST:
            accuracies.append(evaluate(spec, model.weights, task.test).accuracy)
    return Result(float(np.mean(accuracies)), float(np.mean(sizes)))


def _make_updates(
    spec: JobSpec, model: Weights, task: Task, residuals: list[Weights | None], round_: int
) -> Iterator[tuple[bytes, ScoredUpdate]]:
    """Replaces the residuals, one per trainer."""
    for at, part in enumerate(task.parts):
        trained = train(spec, model, part, seed=round_ * len(task.parts) + at)
        delta = compute_delta(trained.weights, model)
        payload, residuals[at] = encode_with_feedback(delta, residuals[at], spec)
        yield payload, ScoredUpdate(Address(f"0x{at + 1:040x}"), 1, decode_update(payload, spec))


def _apply(spec: JobSpec, setting: Setting) -> JobSpec:
    changes = {
        "steps": setting.steps,
        "batch_size": setting.batch,
        "learning_rate": setting.learning_rate,
        "momentum": setting.momentum,
    }
    training = spec.training.model_copy(update=changes)
    server = {
        "server_learning_rate": setting.server_learning_rate,
        "server_optimiser": setting.server,
    }
    aggregation = spec.aggregation.model_copy(update=server)
    return spec.model_copy(
        update={"training": training, "encoding": setting.encoding, "aggregation": aggregation}
    )
