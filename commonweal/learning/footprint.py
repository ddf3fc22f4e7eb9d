"""How much memory a job's model takes to train and to judge, before any of it is allocated.

Counted from above, from the declared shapes; the interpreter with torch (about 300 MB) and the
node's own data come on top. The constants are rounded up from what processes were seen to take.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from commonweal.learning.weights import parameter_count, shapes_of
from commonweal.protocol.specs import CnnModel, JobSpec, MlpModel, ModelSpec, TrainingSpec

_FLOAT = 4  # bytes
_MOMENTS = {"sgd": 0, "adamw": 2}  # that the optimiser keeps per parameter, momentum aside
# Parent, its tensor, the weights in work, their gradient, the result, and one to put it together.
_COPIES = 6
# Of each layer's output: itself, after ReLU, pooling's places (twice as wide), their gradients.
_ACTIVATIONS = 7
_EVALUATED = 2  # without gradients: itself, and after ReLU
_EVALUATION_BATCH = 4096  # samples at most, see `training`
# Per update: as decoded, as unit vector, scaled back, and once more while they are put together.
_JUDGED = 4


def estimate_training(spec: JobSpec) -> int:
    """Bytes at the peak of local training."""
    model, training = spec.model, spec.training
    activations = _ACTIVATIONS * training.batch_size * _activations(model)
    return _FLOAT * (_parameters(model) * (_COPIES + _moments(training)) + activations)


def estimate_judging(spec: JobSpec, updates: int, rows: int = _EVALUATION_BATCH) -> int:
    """Bytes at the peak of scoring so many updates on so many rows; the reference is trained too.

    Aggregation holds the verified updates once and stays below.
    """
    evaluated = _EVALUATED * min(rows, _EVALUATION_BATCH) * _activations(spec.model)
    held = _JUDGED * updates * _parameters(spec.model)
    return estimate_training(spec) + _FLOAT * (held + evaluated)


def _parameters(model: ModelSpec) -> int:
    return parameter_count(shapes_of(model))


def _moments(training: TrainingSpec) -> int:
    return max(_MOMENTS[training.optimiser], int(training.momentum > 0))


def _activations(model: ModelSpec) -> int:
    """Floats that the layers put out for one sample, the input included."""
    return sum(_layers(model)) + model.classes


def _layers(model: ModelSpec) -> Iterator[int]:
    if isinstance(model, CnnModel):
        _, height, width = model.shape
        yield math.prod(model.shape)
        for channels in model.channels:
            yield channels * height * width
            height, width = height // 2, width // 2
        return
    yield model.inputs
    if isinstance(model, MlpModel):
        yield from model.hidden
