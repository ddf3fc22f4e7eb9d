"""Seven agents on two cores: what an agent imports decides how fast a network comes up."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
import numpy as np
from commonweal.learning.data import DigitsSource, load_dataset
from commonweal.learning.training import evaluate, train
from commonweal.learning.weights import initial_weights
from commonweal.protocol.specs import DataSpec, JobSpec, LogisticModel, TrainingSpec

for optimiser in ("sgd", "adamw"):
    spec = JobSpec(
        name="digits",
        model=LogisticModel(inputs=64, classes=10),
        training=TrainingSpec(optimiser=optimiser, clip_norm=1.0),
        data=DataSpec(features=(64,), classes=10),
    )
    local = load_dataset(DigitsSource(), spec.data)
    result = train(spec, initial_weights(spec.model, 0), local.train, seed=0)
    assert evaluate(spec, result.weights, local.holdout).accuracy > 0.5
heavy = ["sklearn", "scipy", "sympy", "torch._dynamo", "torch._inductor"]
sys.exit(" ".join(name for name in heavy if name in sys.modules) or 0)
"""


def test_training_imports_no_compiler_and_no_scikit_learn() -> None:
    result = subprocess.run(
        [sys.executable, "-c", CODE], check=False, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
