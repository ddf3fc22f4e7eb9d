import math

import numpy as np
import pytest

from commonweal.learning.data import Dataset, InvalidData, deal
from commonweal.learning.partitions import partition_quantity, shift_features


@pytest.mark.parametrize("alpha", [0.1, 1.0, math.inf])
def test_sizes_differ_and_every_row_is_dealt_once(alpha: float) -> None:
    dealt = partition_quantity(1000, 10, alpha, 3)
    assert np.array_equal(np.sort(np.concatenate(dealt)), np.arange(1000))
    sizes = np.array([len(rows) for rows in dealt])
    assert sizes.min() >= 20
    assert (np.ptp(sizes) <= 1) == math.isinf(alpha)


def test_a_small_alpha_gives_one_part_most_rows() -> None:
    largest = [max(map(len, partition_quantity(1000, 10, a, 0))) for a in (0.1, 10.0)]
    assert largest[0] > 2 * largest[1]


def test_too_few_rows_for_so_many_parts_are_refused() -> None:
    with pytest.raises(InvalidData):
        partition_quantity(5, 4, 1.0, 0)


def test_no_strength_shifts_nothing_and_the_range_is_kept() -> None:
    x = np.random.default_rng(0).random((20, 8), np.float32)
    assert np.allclose(shift_features(x, 0.0, 1), x)
    shifted = shift_features(x, 1.0, 1)
    assert shifted.dtype == np.float32
    assert np.abs(shifted - x).mean() > 0.02
    assert shifted.min() >= x.min()
    assert shifted.max() <= x.max()


@pytest.mark.parametrize("strength", [-0.1, 1.1, math.nan])
def test_an_impossible_strength_is_refused(strength: float) -> None:
    with pytest.raises(InvalidData):
        shift_features(np.zeros((1, 1), np.float32), strength, 0)


def test_parts_with_shifted_features_hold_the_same_labels_and_differ_from_one_another() -> None:
    x = np.tile(np.linspace(0, 1, 8, dtype=np.float32), (100, 1))
    whole = Dataset(x, np.arange(100) % 4)
    dealt = deal(whole, 5, "feature", 0.1, 0)
    assert sorted(np.concatenate([part.y for part in dealt])) == sorted(whole.y)
    means = [part.x.mean() for part in dealt]
    assert np.ptp(means) > 0.05
    again = deal(whole, 5, "feature", 0.1, 0)
    assert all(np.array_equal(a.x, b.x) for a, b in zip(dealt, again, strict=True))
