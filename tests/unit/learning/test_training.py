import subprocess
import sys

import numpy as np
import pytest

from commonweal.learning.aggregation import compute_norm
from commonweal.learning.data import Dataset
from commonweal.learning.encoding import compute_delta
from commonweal.learning.training import TrainingDiverged, evaluate, predict, train
from commonweal.learning.weights import encode_weights, initial_weights, shapes_of
from commonweal.protocol.specs import (
    CnnModel,
    DataSpec,
    JobSpec,
    LogisticModel,
    MlpModel,
    TrainingSpec,
)

MODELS = {
    "logistic": LogisticModel(inputs=16, classes=3),
    "mlp": MlpModel(inputs=16, hidden=(12, 8), classes=3),
    "cnn": CnnModel(shape=(1, 4, 4), channels=(4, 6), classes=3),
}
ELSEWHERE = """
import hashlib, torch
from test_training import make_data, make_spec, start
from commonweal.learning.training import train
from commonweal.learning.weights import encode_weights
torch.set_num_threads(4)
spec = make_spec("cnn")
result = train(spec, start(spec), make_data(), seed=3)
print(hashlib.sha256(encode_weights(result.weights)).hexdigest())
"""


def make_spec(family: str = "mlp", **training) -> JobSpec:
    training = {"epochs": 5, "batch_size": 16, "learning_rate": 0.1} | training
    return JobSpec(
        name="blobs",
        model=MODELS[family],
        training=TrainingSpec(**training),
        data=DataSpec(features=(1, 4, 4), classes=3),
    )


def make_data(size: int = 150) -> Dataset:
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, size)
    centres = generator.standard_normal((3, 1, 4, 4)) * 2
    return Dataset((centres[y] + generator.standard_normal((size, 1, 4, 4))).astype(np.float32), y)


def start(spec: JobSpec):
    return initial_weights(spec.model, 0)


def moved(spec: JobSpec, **arguments) -> float:
    weights = start(spec)
    return compute_norm(
        compute_delta(train(spec, weights, make_data(), seed=1, **arguments).weights, weights)
    )


@pytest.mark.parametrize("family", list(MODELS))
@pytest.mark.parametrize(
    "training", [{}, {"momentum": 0.9}, {"optimiser": "adamw", "learning_rate": 0.01}]
)
def test_every_family_learns_with_every_optimiser(family, training):
    spec, data = make_spec(family, **training), make_data()
    before = encode_weights(start(spec))
    weights = start(spec)
    result = train(spec, weights, data, seed=1)
    assert encode_weights(weights) == before
    assert result.samples == len(data)
    assert {n: t.shape for n, t in result.weights.items()} == shapes_of(spec.model)
    after = evaluate(spec, result.weights, data)
    assert after.accuracy > 0.85 > evaluate(spec, weights, data).accuracy
    assert after.loss < evaluate(spec, weights, data).loss


def test_the_seed_alone_decides_and_the_process_does_not_matter():
    import hashlib
    from pathlib import Path

    spec, data = make_spec("cnn"), make_data()
    first, again, other = (train(spec, start(spec), data, seed=s).weights for s in (3, 3, 4))
    assert encode_weights(first) == encode_weights(again) != encode_weights(other)
    process = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.strip() == hashlib.sha256(encode_weights(first)).hexdigest()


def test_the_spec_seed_changes_the_order_too():
    data = make_data()
    one, two = (train(make_spec(seed=s), start(make_spec()), data, seed=1).weights for s in (0, 1))
    assert encode_weights(one) != encode_weights(two)


def test_torch_settings_are_left_as_they_were():
    import torch

    threads = torch.get_num_threads()
    train(make_spec(), start(make_spec()), make_data(), seed=1)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_predictions_say_what_the_loss_is_made_of():
    spec, data = make_spec(), make_data()
    weights = start(spec)
    probabilities = predict(spec, weights, data.x)
    right = probabilities[np.arange(len(data)), data.y]
    assert -np.log(right).mean() == pytest.approx(evaluate(spec, weights, data).loss, rel=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_the_proximal_term_and_clipping_hold_the_model_back():
    free = moved(make_spec())
    assert moved(make_spec(proximal=5.0)) < 0.7 * free
    assert moved(make_spec(clip_norm=0.01)) < 0.1 * free


def test_balanced_loss_does_not_teach_the_label_mix():
    blank = Dataset(np.zeros((120, 1, 4, 4), np.float32), np.repeat([0, 1, 2], [100, 15, 5]))
    spread = {}
    for loss in ("cross-entropy", "balanced-cross-entropy"):
        spec = make_spec("logistic", epochs=20, loss=loss)
        spread[loss] = np.ptp(train(spec, start(spec), blank, seed=1).weights["output.bias"])
    assert spread["cross-entropy"] > 1.5
    assert spread["balanced-cross-entropy"] < 0.2


def test_steps_are_epochs_in_other_words():
    """150 samples in batches of 16: ten steps are an epoch, and the last batch is a short one."""
    data = make_data()
    epochs = train(make_spec(epochs=2), start(make_spec()), data, seed=1)
    steps = train(make_spec(epochs=1, steps=20), start(make_spec()), data, seed=1)
    assert encode_weights(steps.weights) == encode_weights(epochs.weights)
    assert steps.loss == epochs.loss


def test_steps_may_end_within_an_epoch():
    """A step of one batch at momentum 0 is as long as the gradient: more steps, another model."""
    data = make_data()
    ends = [
        encode_weights(
            train(make_spec(epochs=1, steps=n), start(make_spec()), data, seed=1).weights
        )
        for n in (1, 9, 10, 11)
    ]
    assert len(set(ends)) == 4
    assert ends[2] == encode_weights(
        train(make_spec(epochs=1), start(make_spec()), data, seed=1).weights
    )


def test_steps_and_epochs_together_say_nothing():
    with pytest.raises(ValueError, match="steps 5 and epochs 2"):
        TrainingSpec(epochs=2, steps=5)


def test_loss_and_accuracy_are_those_of_the_models_that_met_the_samples():
    """At a rate that moves nothing every sample meets the parent model."""
    spec, data = make_spec(epochs=2, learning_rate=1e-12), make_data()
    result, parent = train(spec, start(spec), data, seed=1), evaluate(spec, start(spec), data)
    assert result.accuracy == parent.accuracy
    assert result.loss == pytest.approx(parent.loss, abs=1e-6)


def test_progress_is_told_after_every_batch():
    seen = []
    spec, data = make_spec(epochs=2, batch_size=60), make_data()
    result = train(spec, start(spec), data, seed=1, on_progress=seen.append)
    assert [each.done for each in seen] == [60, 120, 150, 210, 270, 300]
    assert {each.total for each in seen} == {300}
    last = seen[-3:]
    mean = sum(each.loss * n for each, n in zip(last, (60, 60, 30), strict=True)) / 150
    assert result.loss == pytest.approx(mean)


def test_divergence_is_an_error_with_a_code():
    spec = make_spec("logistic", learning_rate=10.0, epochs=200)
    data = make_data()
    huge = Dataset(data.x * np.float32(1e20), data.y)
    with pytest.raises(TrainingDiverged):
        train(spec, start(spec), huge, seed=1)
