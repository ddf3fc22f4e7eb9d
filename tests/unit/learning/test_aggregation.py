import hashlib
import os
import subprocess
import sys
from fractions import Fraction
from itertools import permutations
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from learning_samples import address, random_weights
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
from numpy.testing import assert_allclose, assert_array_equal

from commonweal.learning.aggregation import (
    NothingToAggregate,
    ScoredUpdate,
    aggregate,
    compute_norm,
)
from commonweal.learning.encoding import InvalidUpdate
from commonweal.learning.weights import InvalidWeights, encode_weights
from commonweal.protocol.specs import AggregationSpec

RULES = AggregationSpec.model_fields["rule"].annotation.__args__
PLAIN = {rule: AggregationSpec(rule=rule, clip_to_median=False) for rule in RULES}
CLIPPED = {rule: AggregationSpec(rule=rule, trim_bps=2500) for rule in RULES}
PARENT = random_weights(99)
# Numpy can switch off what it chooses at run time, not the baseline it was built for.
VECTORS = [name for name in __cpu_dispatch__ if __cpu_features__[name]]
ELSEWHERE = """
import sys
from numpy._core._multiarray_umath import __cpu_features__ as features
from test_aggregation import RULES, digest, large_case
assert not any(features.get(name) for name in sys.argv[1:]), features
print(*(digest(*large_case(rule)) for rule in RULES))
"""


def make_updates(count: int, scale: float = 0.1) -> list[ScoredUpdate]:
    return [
        ScoredUpdate(address(i + 1), 1000 * (i + 1), random_weights(i, scale * (1 + i)))
        for i in range(count)
    ]


def fractions(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return (generator.integers(-(2**23), 2**23, shape) / 2**22).astype(np.float32)


def large_case(rule: str):
    """Enough elements for several blocks, and for numpy's vector loops; made of exact fractions."""
    generator = np.random.default_rng(5)
    shapes = {"a": (300, 401), "b": (7,)}
    models = [{k: fractions(generator, s) for k, s in shapes.items()} for _ in range(7)]
    updates = [ScoredUpdate(address(i), 100 + i, m) for i, m in enumerate(models[1:], 1)]
    return CLIPPED[rule], models[0], updates


def digest(spec, parent, updates, threads=1) -> str:
    model = aggregate(spec, parent, updates, threads=threads)
    return hashlib.sha256(encode_weights(model)).hexdigest()


def stack(updates: list[ScoredUpdate], name: str) -> np.ndarray:
    return np.stack([u.delta[name] for u in updates]).astype(np.float64)


@pytest.mark.parametrize("rule", RULES)
def test_the_order_of_updates_does_not_matter(rule):
    updates = make_updates(4)
    digests = {digest(CLIPPED[rule], PARENT, order) for order in permutations(updates)}
    assert len(digests) == 1


@pytest.mark.parametrize("rule", RULES)
def test_the_number_of_threads_does_not_matter(rule):
    assert digest(*large_case(rule)) == digest(*large_case(rule), threads=8)


@pytest.mark.parametrize(
    ("disabled", "settings"),
    [
        (VECTORS, {"NPY_DISABLE_CPU_FEATURES": " ".join(VECTORS), "PYTHONHASHSEED": "7"}),
        ([], {"OMP_NUM_THREADS": "8", "OPENBLAS_NUM_THREADS": "8"}),
        ([], {"OMP_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Prescott"}),
        ([], {"WEAL_KERNELS": "compiled"}),
    ],
    ids=["no-vectors", "many-threads", "other-blas", "compiled"],
)
def test_another_process_gets_the_same_bytes(disabled, settings):
    # Numpy warns of features that this machine does not have, hence -W ignore.
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ELSEWHERE, *disabled],
        env={
            **os.environ,
            "WEAL_KERNELS": "numpy",
            **settings,
            "PYTHONPATH": str(Path(__file__).parent),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.split() == [digest(*large_case(rule)) for rule in RULES]


def test_the_bytes_of_today_are_the_bytes_of_tomorrow():
    """Fixed digests: whoever changes one of these changes every job's models."""
    assert {rule: digest(*large_case(rule))[:16] for rule in RULES} == {
        "weighted-mean": "017629e24346b0cb",
        "mean": "9c2632aa9e91b8a0",
        "median": "97870b008a5d1270",
        "trimmed-mean": "83336bd4f6773bc2",
        "krum": "02e3662c73119542",
        "multi-krum": "88987a61bf3c9546",
        "geometric-median": "aa28cc9ca89fe00f",
        "centred-clipping": "8b5e4fa6b23fc6ba",
    }


def test_weighted_mean_follows_the_scores():
    updates = make_updates(3)
    model = aggregate(PLAIN["weighted-mean"], PARENT, updates)
    for name in PARENT:
        expected = PARENT[name] + np.average(stack(updates, name), axis=0, weights=[1, 2, 3])
        assert_allclose(model[name], expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13])
def test_median_is_the_coordinate_median(count):
    updates = make_updates(count)
    model = aggregate(PLAIN["median"], PARENT, updates)
    for name in PARENT:
        expected = PARENT[name] + np.median(stack(updates, name), axis=0)
        assert_allclose(model[name], expected, rtol=1e-6, atol=1e-7)


def test_trimmed_mean_drops_both_ends():
    updates = make_updates(8)
    spec = AggregationSpec(rule="trimmed-mean", trim_bps=2500, clip_to_median=False)
    model = aggregate(spec, PARENT, updates)
    for name in PARENT:
        kept = np.sort(stack(updates, name), axis=0)[2:6]
        assert_allclose(model[name], PARENT[name] + kept.mean(axis=0), rtol=1e-6, atol=1e-7)


def test_an_update_longer_than_the_median_is_scaled_down_to_it():
    honest = make_updates(4, scale=0.01)
    huge = ScoredUpdate(address(9), 65_533, random_weights(50, 1e6))
    model = aggregate(AggregationSpec(), PARENT, [*honest, huge])
    step = {name: model[name] - PARENT[name] for name in PARENT}
    assert compute_norm(step) <= median(compute_norm(u.delta) for u in [*honest, huge]) * 1.001


def test_the_server_learning_rate_scales_the_step():
    updates = make_updates(3)
    zero = {name: np.zeros_like(tensor) for name, tensor in PARENT.items()}
    once = aggregate(AggregationSpec(), zero, updates)
    twice = aggregate(AggregationSpec(server_learning_rate=2.0), zero, updates)
    for name in PARENT:
        assert_array_equal(twice[name], 2 * once[name])


def test_the_norm_is_the_exact_sum_of_squares():
    delta = random_weights(3)
    exact = sum(Fraction(float(x)) ** 2 for t in delta.values() for x in t.ravel())
    assert compute_norm(delta) == pytest.approx(float(exact) ** 0.5, rel=1e-14)


def test_the_sign_of_zero_depends_on_nothing():
    zero = {name: np.zeros_like(tensor) for name, tensor in PARENT.items()}
    minus = {name: -tensor for name, tensor in zero.items()}
    for order in ([zero, minus], [minus, zero]):
        updates = [ScoredUpdate(address(i + 1), 1, delta) for i, delta in enumerate(order)]
        model = aggregate(PLAIN["median"], minus, updates)
        assert not any(np.signbit(tensor).any() for tensor in model.values())


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_nan_or_inf_is_refused_by_every_rule(rule, bad):
    updates = make_updates(5)
    updates[2].delta["hidden00.weight"][0, 0] = bad
    with pytest.raises(InvalidUpdate) as caught:
        aggregate(CLIPPED[rule], PARENT, updates)
    assert caught.value.details["reason"] == "not-finite"
    assert caught.value.details["trainer"] == address(3)


@pytest.mark.parametrize("rule", RULES)
def test_a_model_out_of_range_is_refused(rule):
    parent = {name: np.full_like(tensor, 3e38) for name, tensor in PARENT.items()}
    updates = [ScoredUpdate(address(1), 1, parent)]
    with pytest.raises(InvalidWeights):
        aggregate(CLIPPED[rule], parent, updates)


def test_unsound_updates_are_refused():
    (update,) = make_updates(1)
    other = {**update.delta, "output.bias": np.zeros(3, np.float32)}
    wide = {name: tensor.astype(np.float64) for name, tensor in update.delta.items()}
    cases = {
        "dtype": [ScoredUpdate(update.trainer, 1, wide)],
        "shape": [ScoredUpdate(update.trainer, 1, other)],
        "score": [ScoredUpdate(update.trainer, 0, update.delta)],
        "twice": [update, update],
    }
    for reason, updates in cases.items():
        with pytest.raises(InvalidUpdate) as caught:
            aggregate(AggregationSpec(), PARENT, updates)
        assert caught.value.details["reason"] == reason
    with pytest.raises(NothingToAggregate):
        aggregate(AggregationSpec(), PARENT, [])
