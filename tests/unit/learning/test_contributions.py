from itertools import permutations

import numpy as np
import pytest

from commonweal.learning.contributions import (
    Coalitions,
    compute_leave_one_out,
    compute_shapley,
    flatten,
    move,
)
from commonweal.learning.data import Dataset
from commonweal.protocol.specs import DataSpec, JobSpec, LogisticModel

SPEC = JobSpec(
    name="lines",
    model=LogisticModel(inputs=3, classes=2),
    data=DataSpec(features=(3,), classes=2),
)
PARENT = {"output.bias": np.zeros(2, np.float32), "output.weight": np.zeros((2, 3), np.float32)}
HELPS = np.array([0, 0, -1, 0, 0, 1, 0, 0], np.float32)  # class 1 where the first input is high
IDLE = np.array([0, 0, 0, -1, 0, 0, 1, 0], np.float32)  # looks at an input that says nothing


def make_data() -> Dataset:
    x = np.random.default_rng(0).standard_normal((200, 3)).astype(np.float32)
    x[:, 1] = 0
    return Dataset(x, (x[:, 0] > 0).astype(np.int64))


def make_coalitions(*rows: np.ndarray) -> Coalitions:
    deltas = np.stack(rows)
    norms = np.linalg.norm(deltas, axis=1).astype(np.float64)
    units = (deltas / np.maximum(norms, 1e-30)[:, None]).astype(np.float32)
    return Coalitions(SPEC, PARENT, units, norms, float(np.median(norms)), make_data())


def test_who_helps_is_told_from_who_harms() -> None:
    coalitions = make_coalitions(HELPS, 0.9 * HELPS, -HELPS)
    effects = compute_leave_one_out(coalitions, np.ones(3, np.bool))
    assert effects[0] > 0
    assert effects[1] > 0
    assert effects[2] < -5


def test_a_giant_is_clipped_to_the_median() -> None:
    usual = make_coalitions(HELPS, HELPS, -HELPS).losses(np.ones(3, np.bool))
    giant = make_coalitions(HELPS, HELPS, -1e6 * HELPS).losses(np.ones(3, np.bool))
    assert giant.mean() == pytest.approx(usual.mean())


def test_a_giant_alone_is_clipped_to_the_median_of_the_round() -> None:
    alone = np.array([False, False, True])
    usual = make_coalitions(HELPS, HELPS, -HELPS).losses(alone)
    giant = make_coalitions(HELPS, HELPS, -1e6 * HELPS).losses(alone)
    assert giant.mean() == pytest.approx(usual.mean())


def test_nobody_together_is_the_parent() -> None:
    none = make_coalitions(HELPS).losses(np.zeros(1, np.bool))
    assert none == pytest.approx(np.full(200, np.log(2)))


def test_shapley_values_come_near_the_exact_ones_and_sum_to_the_whole() -> None:
    coalitions = make_coalitions(HELPS, -0.5 * HELPS, IDLE)
    exact = np.zeros(3)
    for order in permutations(range(3)):
        joined = np.zeros(3, np.bool)
        for at in order:
            before = coalitions.losses(joined.copy()).mean()
            joined[at] = True
            exact[at] += (before - coalitions.losses(joined.copy()).mean()) / 6
    values = compute_shapley(coalitions, orders=400, tolerance=0.0, seed=1)
    assert values == pytest.approx(exact, abs=0.02)
    assert values.sum() == pytest.approx(exact.sum())
    assert values[0] > values[2] > values[1]


def test_with_a_tolerance_fewer_coalitions_are_looked_at() -> None:
    rows = [HELPS * (1 + 0.01 * at) for at in range(8)]
    exact, cut = make_coalitions(*rows), make_coalitions(*rows)
    compute_shapley(exact, orders=10, tolerance=0.0, seed=0)
    compute_shapley(cut, orders=10, tolerance=0.1, seed=0)
    assert len(cut._known) < len(exact._known)


def test_flat_rows_and_weights_are_each_others_inverse() -> None:
    generator = np.random.default_rng(3)
    delta = {n: generator.standard_normal(t.shape).astype(np.float32) for n, t in PARENT.items()}
    flat = flatten([delta], PARENT, [2.0])[0]
    moved = move(PARENT, 2 * flat)
    assert all(np.allclose(moved[name], delta[name]) for name in PARENT)
    assert not flatten([delta], PARENT, [0.0]).any()


def test_units_of_the_largest_deltas_have_length_one() -> None:
    delta = {name: np.full_like(tensor, 3e38) for name, tensor in PARENT.items()}
    unit = flatten([delta], PARENT, [3e38 * 8**0.5])[0]
    assert np.linalg.norm(unit) == pytest.approx(1.0)
