"""Small specs and weights that the learning tests share."""

from __future__ import annotations

import numpy as np

from commonweal.learning.weights import Weights, shapes_of
from commonweal.protocol.specs import DataSpec, FloatEncoding, JobSpec, MlpModel, TrainingSpec
from commonweal.protocol.types import Address

MODEL = MlpModel(inputs=64, hidden=(16,), classes=10)
SPEC = JobSpec(
    name="digits",
    model=MODEL,
    training=TrainingSpec(epochs=2, batch_size=16, learning_rate=0.1),
    data=DataSpec(features=(64,), classes=10),
)
HALF = SPEC.model_copy(update={"encoding": FloatEncoding(kind="fp16")})


def random_weights(seed: int, scale: float = 1.0) -> Weights:
    generator = np.random.default_rng(seed)
    return {
        name: (scale * generator.standard_normal(shape)).astype(np.float32)
        for name, shape in shapes_of(MODEL).items()
    }


def address(number: int) -> Address:
    return Address(f"0x{number:040x}")
