"""The estimate is above what a process really takes, and not far above."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from commonweal.learning.footprint import estimate_judging, estimate_training
from commonweal.protocol.specs import (
    CnnModel,
    DataSpec,
    JobSpec,
    LogisticModel,
    MlpModel,
    TrainingSpec,
)

MEASURE = """
import gc, json, re, sys
import numpy as np
from commonweal.learning.data import Dataset, LocalData
from commonweal.learning.footprint import estimate_judging, estimate_training
from commonweal.learning.scoring import Candidate, ScoringMemory, score_updates
from commonweal.learning.training import train
from commonweal.learning.weights import initial_weights
from commonweal.protocol.specs import JobSpec, LogisticModel

spec, updates = JobSpec.model_validate_json(sys.argv[1]), int(sys.argv[2])
generator = np.random.default_rng(0)

def make_data(rows):
    x = generator.standard_normal((rows, 1, 28, 28)).astype(np.float32)
    return Dataset(x, generator.integers(0, 10, rows))

def read(name):
    return int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024

small = spec.model_copy(update={"model": LogisticModel(inputs=784, classes=10)})
train(small, initial_weights(small.model, 0), make_data(10), seed=0)  # loads torch
weights, data = initial_weights(spec.model, 0), make_data(256)
gc.collect()
open("/proc/self/clear_refs", "w").write("5")  # the peak counts from here
before = read("VmRSS")
if updates:
    candidates = [
        Candidate(member, f"0x{member:040x}", {
            name: generator.standard_normal(tensor.shape, dtype=np.float32) * np.float32(0.001)
            for name, tensor in weights.items()
        })
        for member in range(updates)
    ]
    local = LocalData(train=data, holdout=make_data(16))
    score_updates(spec, weights, candidates, local, ScoringMemory(key=1), seed=0)
    estimate = estimate_judging(spec, updates, 272)
else:
    train(spec, weights, data, seed=0)
    estimate = estimate_training(spec)
print(json.dumps([read("VmHWM") - before, estimate]))
"""
MLP = MlpModel(inputs=784, hidden=(1500,), classes=10)
CNN = CnnModel(shape=(1, 28, 28), channels=(64, 64), classes=10)


def make_spec(model: MlpModel | CnnModel | LogisticModel, **training: object) -> JobSpec:
    known = {"epochs": 1, "batch_size": 64, "learning_rate": 0.01} | training
    return JobSpec(
        name="footprint",
        model=model,
        training=TrainingSpec.model_validate(known),
        data=DataSpec(features=(1, 28, 28), classes=10),
    )


@pytest.mark.parametrize(
    ("spec", "updates"),
    [(make_spec(CNN), 0), (make_spec(MLP, optimiser="adamw"), 16)],
    ids=["training a network of convolutions", "judging sixteen perceptrons"],
)
def test_the_estimate_is_an_upper_bound_and_no_wild_one(spec: JobSpec, updates: int) -> None:
    command = [sys.executable, "-c", MEASURE, spec.model_dump_json(), str(updates)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    used, estimate = json.loads(run.stdout)
    assert used <= estimate <= 2.5 * used


def test_what_costs_memory_counts() -> None:
    plain = estimate_training(make_spec(MLP))
    assert estimate_training(make_spec(MLP, optimiser="adamw")) > plain
    assert estimate_training(make_spec(MLP, momentum=0.9)) > plain
    assert estimate_training(make_spec(MLP, batch_size=640)) > plain
    assert estimate_training(make_spec(CNN)) > estimate_training(
        make_spec(LogisticModel(inputs=784, classes=10))
    )
    one, many = (estimate_judging(make_spec(MLP), updates) for updates in (1, 101))
    assert many - one == 100 * 4 * 4 * (784 * 1500 + 1500 + 1500 * 10 + 10)
