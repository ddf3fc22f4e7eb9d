"""Server optimisers against their textbook form, and that their moments carry over rounds."""

import numpy as np
import pytest
import torch
from learning_samples import address, random_weights
from numpy.testing import assert_allclose, assert_array_equal
from pydantic import ValidationError

from commonweal.learning.aggregation import (
    GlobalModel,
    ScoredUpdate,
    advance,
    aggregate,
)
from commonweal.learning.aggregation.server import moment_shapes
from commonweal.learning.weights import InvalidWeights, decode_tensors, encode_tensors
from commonweal.protocol.specs import AggregationSpec, ServerOptimiserSpec

PARENT = random_weights(99)
RATE = 0.5


def make_spec(**server: object) -> AggregationSpec:
    optimiser = ServerOptimiserSpec.model_validate(server)
    return AggregationSpec(rule="mean", server_learning_rate=RATE, server_optimiser=optimiser)


def run_rounds(spec: AggregationSpec, rounds: int) -> list[GlobalModel]:
    models = [GlobalModel(PARENT)]
    for at in range(rounds):
        update = ScoredUpdate(address(1), 1, random_weights(at))
        models.append(advance(spec, models[-1], [update], seed=b""))
    return models


def run_torch(optimiser_of, rounds: int) -> dict[str, np.ndarray]:
    """Torch's own optimiser, fed with the negative steps as gradients."""
    tensors = {name: torch.tensor(t, dtype=torch.float64) for name, t in PARENT.items()}
    optimiser = optimiser_of(list(tensors.values()))
    for at in range(rounds):
        for name, step in random_weights(at).items():
            tensors[name].grad = -torch.tensor(step, dtype=torch.float64)
        optimiser.step()
    return {name: tensor.numpy() for name, tensor in tensors.items()}


@pytest.mark.parametrize("kind", ["sgd", "nesterov"])
def test_momentum_is_that_of_torch(kind):
    model = run_rounds(make_spec(kind=kind, momentum=0.9), 4)[-1]
    wanted = run_torch(
        lambda p: torch.optim.SGD(p, lr=RATE, momentum=0.9, nesterov=kind == "nesterov"), 4
    )
    for name in PARENT:
        assert_allclose(model.weights[name], wanted[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["adam", "yogi"])
def test_adam_and_yogi_follow_reddi(kind):
    spec = make_spec(kind=kind, momentum=0.9, second_momentum=0.99, epsilon=0.01)
    model = run_rounds(spec, 4)[-1]
    for name in PARENT:
        x, m, v = PARENT[name].astype(np.float64), 0.0, 0.0
        for at in range(4):
            step = random_weights(at)[name].astype(np.float64)
            m = 0.9 * m + 0.1 * step
            if kind == "adam":
                v = 0.99 * v + 0.01 * step**2
            else:
                v = v - 0.01 * step**2 * np.sign(v - step**2)
            x = x + RATE * m / (np.sqrt(v) + 0.01)
        assert_allclose(model.weights[name], x, rtol=1e-5, atol=1e-5)


def test_plain_sgd_keeps_nothing():
    (_, model) = run_rounds(make_spec(), 1)
    assert model.moments == {}
    assert moment_shapes(ServerOptimiserSpec(), {"a": (3,)}) == {}


@pytest.mark.parametrize("kind", ["sgd", "nesterov", "adam", "yogi"])
def test_moments_that_went_through_a_file_give_the_same_next_model(kind):
    spec = make_spec(kind=kind, momentum=0.9)
    _, one, two, _ = run_rounds(spec, 3)
    shapes = moment_shapes(spec.server_optimiser, {n: t.shape for n, t in PARENT.items()})
    data = encode_tensors(one.moments, "F32")
    read = GlobalModel(one.weights, decode_tensors(data, shapes, "F32"))
    again = advance(spec, read, [ScoredUpdate(address(1), 1, random_weights(1))], seed=b"")
    for name in PARENT:
        assert_array_equal(again.weights[name], two.weights[name])
    assert encode_tensors(again.moments, "F32") == encode_tensors(two.moments, "F32")


def test_moments_of_another_optimiser_are_refused():
    model = run_rounds(make_spec(momentum=0.9), 1)[-1]
    update = ScoredUpdate(address(1), 1, random_weights(1))
    with pytest.raises(InvalidWeights) as caught:
        advance(make_spec(kind="adam"), model, [update], seed=b"")
    assert caught.value.details["reason"] == "tensors"


def test_moments_out_of_range_are_refused():
    huge = {name: np.full_like(tensor, 1e30) for name, tensor in PARENT.items()}
    with pytest.raises(InvalidWeights):
        aggregate(make_spec(kind="adam"), PARENT, [ScoredUpdate(address(1), 1, huge)])


@pytest.mark.parametrize("kind", ["adam", "yogi"])
@pytest.mark.parametrize("name_value", [("epsilon", 1e-300), ("second_momentum", 0.0)])
def test_optimisers_that_leave_the_range_of_float32_are_refused(kind, name_value):
    name, value = name_value
    with pytest.raises(ValidationError):
        ServerOptimiserSpec(kind=kind, **{name: value})
    least = ServerOptimiserSpec(kind=kind, momentum=0.9, epsilon=1e-8, second_momentum=0.5)
    spec = AggregationSpec(server_optimiser=least)
    for size in (1e-20, 1e15):
        delta = {name: np.full_like(tensor, size) for name, tensor in PARENT.items()}
        model = GlobalModel(PARENT)
        for _ in range(5):
            model = advance(spec, model, [ScoredUpdate(address(1), 1000, delta)], seed=b"")
        assert all(np.isfinite(tensor).all() for tensor in model.weights.values())
