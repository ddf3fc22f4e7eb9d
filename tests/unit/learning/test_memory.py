import numpy as np
import pytest

from commonweal.learning.memory import (
    ScoringMemory,
    compute_sketches,
    find_copies,
    recall_verdicts,
    remember,
)

DIMENSIONS = 4000


def make_units(*seeds: int) -> np.ndarray:
    rows = np.stack([np.random.default_rng(seed).standard_normal(DIMENSIONS) for seed in seeds])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def near(unit: np.ndarray, cosine: float) -> np.ndarray:
    other = make_units(99)[0]
    other -= (other @ unit) * unit
    other /= np.linalg.norm(other)
    return (cosine * unit + np.sqrt(1 - cosine**2) * other).astype(np.float32)


@pytest.mark.parametrize(
    ("sender", "cosine", "copied"),
    [(0, 0.998, False), (0, 0.9999, True), (0, 1.0, True), (5, 0.9999, True), (5, 0.998, False)],
)
def test_how_near_an_earlier_update_may_come(sender: int, cosine: float, copied: bool) -> None:
    """Who trains on few samples of one class repeats itself nearly; of so few updates it cannot be
    told how near those of different members usually are.
    """
    memory, first = ScoringMemory(key=3), make_units(0, 1)
    memory = remember(memory, {}, [0, 1], compute_sketches(memory.key, first), b"a" * 32)
    again = compute_sketches(memory.key, near(first[0], cosine)[None])
    assert find_copies(memory, [sender], again, b"b" * 32) == ({sender} if copied else set())


def scatter(around: np.ndarray, distance: float, *seeds: int) -> np.ndarray:
    rows = around + distance * make_units(*seeds)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("distance", [1.0, 0.1, 0.03, 0.01])
def test_what_is_too_alike_is_told_by_how_alike_all_are(distance: float) -> None:
    """Many alike samples make honest updates of a small model nearly equal: a cosine of 0.9999."""
    memory, centre = ScoringMemory(key=3), make_units(0)[0]
    honest = scatter(centre, distance, 1, 2, 3, 4, 5)
    assert find_copies(memory, range(5), compute_sketches(memory.key, honest), b"") == set()
    jittered = scatter(honest[4], distance / 20, 6, 7)
    sent = compute_sketches(memory.key, np.concatenate([honest[:4], jittered]))
    assert find_copies(memory, range(6), sent, b"") == {4, 5}


@pytest.mark.parametrize(
    ("rejected", "mistrusted"),
    [
        ([True] * 4, True),
        ([True] * 3, False),  # too few to say anything
        ([True, True, True, False, False], True),
        ([True, True, False, False], False),
        ([], False),
    ],
)
def test_whom_others_mostly_rejected_is_met_with_mistrust(rejected, mistrusted) -> None:
    memory = recall_verdicts(ScoringMemory(key=3), {5: rejected})
    assert (memory.standing.get(5, 0.0) < 0) == mistrusted


def test_what_it_found_itself_outweighs_what_others_found() -> None:
    memory = ScoringMemory(key=3, standing={5: 0.4})
    assert recall_verdicts(memory, {5: [True] * 8}).standing[5] == 0.4
