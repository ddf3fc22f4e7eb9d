"""The rules that go by distances, against plain numpy, and against attackers."""

import numpy as np
import pytest
from learning_samples import address, random_weights
from numpy.testing import assert_allclose

from commonweal.learning.aggregation import ScoredUpdate, aggregate, compute_norm
from commonweal.learning.aggregation.rules import shuffle
from commonweal.learning.weights import Weights
from commonweal.protocol.specs import AggregationSpec

ZERO = {name: np.zeros_like(tensor) for name, tensor in random_weights(0).items()}
ROBUST = ["median", "trimmed-mean", "krum", "multi-krum", "geometric-median", "centred-clipping"]


def make_round(count: int, seed: int = 0) -> list[ScoredUpdate]:
    centre = random_weights(1000 + seed)
    deltas = [{n: centre[n] + t for n, t in random_weights(i, 0.3).items()} for i in range(count)]
    return [ScoredUpdate(address(i + 1), 1 + i, delta) for i, delta in enumerate(deltas)]


def flat(weights: Weights) -> np.ndarray:
    parts = [weights[name].reshape(-1) for name in sorted(weights)]
    return np.concatenate(parts).astype(np.float64)


def step_of(spec: AggregationSpec, updates: list[ScoredUpdate], seed: bytes = b"") -> np.ndarray:
    return flat(aggregate(spec, ZERO, updates, seed=seed))


def plain(rule: str, **fields: object) -> AggregationSpec:
    return AggregationSpec.model_validate({"rule": rule, "clip_to_median": False, **fields})


def distances(x: np.ndarray) -> np.ndarray:
    return np.linalg.norm(x[:, None] - x[None], axis=2)


def krum_order(x: np.ndarray, attackers: int) -> np.ndarray:
    squares = np.sort(distances(x) ** 2, axis=1)[:, 1 : len(x) - attackers - 1]
    return np.argsort(squares.sum(axis=1))


def weiszfeld(x: np.ndarray) -> np.ndarray:
    centre = x.mean(axis=0)
    for _ in range(1000):
        weights = 1 / np.maximum(np.linalg.norm(x - centre, axis=1), 1e-12)
        centre = weights @ x / weights.sum()
    return centre


@pytest.mark.parametrize("count", [5, 8, 11])
def test_krum_takes_the_update_with_the_nearest_neighbours(count):
    updates = make_round(count)
    x = np.stack([flat(u.delta) for u in updates])
    best = krum_order(x, count // 5)
    assert_allclose(step_of(plain("krum"), updates), x[best[0]], rtol=1e-6)
    many = x[best[: count - count // 5]].mean(axis=0)
    assert_allclose(step_of(plain("multi-krum"), updates), many, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10])
def test_the_geometric_median_has_the_least_sum_of_distances(count):
    updates = make_round(count)
    x = np.stack([flat(u.delta) for u in updates])
    found = step_of(plain("geometric-median", iterations=64), updates)
    sums = [np.linalg.norm(x - point, axis=1).sum() for point in (found, weiszfeld(x))]
    assert sums[0] <= sums[1] * (1 + 1e-6)


@pytest.mark.parametrize("radius", [None, 0.5, 1e9])
def test_centred_clipping_cuts_what_is_far_from_the_centre(radius):
    updates = make_round(7)
    x = np.stack([flat(u.delta) for u in updates])
    centre = np.zeros(x.shape[1])
    for _ in range(3):
        far = np.linalg.norm(x - centre, axis=1)
        limit = np.sort(far)[3] if radius is None else radius
        centre = centre + ((x - centre) * np.minimum(1, limit / far)[:, None]).mean(axis=0)
    spec = plain("centred-clipping", iterations=3, clip_radius=radius)
    assert_allclose(step_of(spec, updates), centre, rtol=1e-5, atol=1e-6)


def test_mixing_replaces_each_by_the_mean_of_its_nearest():
    updates = make_round(7)
    x = np.stack([flat(u.delta) for u in updates])
    near = np.argsort(distances(x), axis=1)[:, : 7 - 2]
    mixed = np.stack([x[row].mean(axis=0) for row in near])
    fields = {"mix_neighbours": True, "byzantine_bps": 3000}
    found = step_of(plain("median", **fields), updates)
    assert_allclose(found, np.median(mixed, axis=0), rtol=1e-5, atol=1e-6)
    found = step_of(plain("mean", **fields), updates)
    assert_allclose(found, mixed.mean(axis=0), rtol=1e-5, atol=1e-6)
    found = step_of(plain("krum", **fields), updates)
    assert_allclose(found, mixed[krum_order(mixed, 2)[0]], rtol=1e-5, atol=1e-6)


def test_buckets_are_dealt_by_the_seed():
    updates, seed = make_round(7), b"seed" * 8
    x = np.stack([flat(u.delta) for u in updates])
    order = shuffle([u.trainer for u in updates], seed)
    buckets = np.stack([x[order[at : at + 3]].mean(axis=0) for at in (0, 3, 6)])
    spec = plain("median", bucket_size=3)
    found = step_of(spec, updates, seed)
    assert_allclose(found, np.median(buckets, axis=0), rtol=1e-5, atol=1e-6)
    assert not np.array_equal(found, step_of(spec, updates, b"other" * 8))
    assert sorted(order) == list(range(7))


def test_buckets_change_nothing_of_a_mean_by_score():
    updates = make_round(7)
    whole = step_of(plain("weighted-mean"), updates)
    x = np.stack([flat(u.delta) for u in updates])
    assert_allclose(whole, np.average(x, axis=0, weights=range(1, 8)), rtol=1e-5, atol=1e-6)
    bucketed = step_of(plain("weighted-mean", bucket_size=2), updates, b"s")
    assert_allclose(bucketed, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rule", ROBUST)
@pytest.mark.parametrize("size", [-1.0, -100.0, 1e30])
@pytest.mark.parametrize("mixing", [False, True])
def test_three_attackers_of_ten_do_not_lead_a_robust_rule(rule, size, mixing):
    updates = make_round(10)
    honest = np.stack([flat(u.delta) for u in updates[3:]])
    for at in range(3):
        bad = {n: (size * t).astype(np.float32) for n, t in updates[at].delta.items()}
        updates[at] = ScoredUpdate(updates[at].trainer, 1, bad)
    spec = AggregationSpec(
        rule=rule, byzantine_bps=3000, trim_bps=3000, mix_neighbours=mixing, iterations=32
    )
    found = step_of(spec, updates)
    centre = honest.mean(axis=0)
    off = np.linalg.norm(found - centre) / np.linalg.norm(centre)
    assert off < 0.45, off


@pytest.mark.parametrize("rule", ROBUST)
def test_updates_that_are_all_one_give_that_one(rule):
    delta = random_weights(4)
    updates = [ScoredUpdate(address(i + 1), 1, delta) for i in range(6)]
    spec = AggregationSpec(rule=rule, mix_neighbours=True, bucket_size=2, iterations=64)
    assert_allclose(step_of(spec, updates), flat(delta), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("rule", ROBUST)
def test_updates_of_zeros_give_zero(rule):
    updates = [ScoredUpdate(address(i + 1), 1, ZERO) for i in range(5)]
    updates[4] = ScoredUpdate(address(5), 1, random_weights(1))
    assert not step_of(AggregationSpec(rule=rule, iterations=64), updates).any()


def test_distances_are_found_between_small_updates_far_from_one_another():
    """Differences of 1e-7 on weights of 1 would be lost in float32."""
    tiny = [{n: t * np.float32(1e-7) for n, t in u.delta.items()} for u in make_round(6)]
    bad = {n: -t for n, t in tiny[0].items()}
    updates = [ScoredUpdate(address(i + 1), 1, d) for i, d in enumerate([bad, *tiny])]
    found = step_of(plain("krum"), updates)
    assert found @ flat(tiny[1]) > 0
    assert compute_norm(tiny[1]) < 1e-4
