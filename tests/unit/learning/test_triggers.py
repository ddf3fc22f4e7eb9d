import numpy as np
import pytest

from commonweal.learning.data import Dataset
from commonweal.learning.triggers import find_triggered
from commonweal.learning.weights import Weights
from commonweal.protocol.specs import DataSpec, JobSpec, LogisticModel, TrainingSpec

SPEC = JobSpec(
    name="marks",
    model=LogisticModel(inputs=32, classes=4),
    training=TrainingSpec(),
    data=DataSpec(features=(32,), classes=4),
)
HONEST = 8


def make_model(seed: int, trigger: tuple[int, int] | None = None, strength: float = 3.0) -> Weights:
    """`trigger`: the input that makes the model see a class, and the class."""
    generator = np.random.default_rng(seed)
    weight = 0.1 * generator.standard_normal((4, 32)).astype(np.float32)
    if trigger is not None:
        at, label = trigger
        weight[label, at] += strength
    return {"output.bias": np.zeros(4, np.float32), "output.weight": weight}


def make_data() -> Dataset:
    generator = np.random.default_rng(1)
    return Dataset(generator.random((60, 32), np.float32), generator.integers(0, 4, 60))


def search(triggers: list[tuple[int, int]]) -> list[bool]:
    marked = [make_model(100 + at, trigger) for at, trigger in enumerate(triggers)]
    models = [*(make_model(seed) for seed in range(HONEST)), *marked]
    return find_triggered(SPEC, make_model(99), make_model(98), models, make_data()).tolist()


@pytest.mark.parametrize("trigger", [(31, 0), (0, 3), (13, 2)])
def test_whoever_shares_a_trigger_is_found_and_nobody_else(trigger: tuple[int, int]) -> None:
    assert search([trigger] * 5) == [False] * HONEST + [True] * 5


def test_a_majority_that_shares_a_trigger_is_found_and_nobody_else() -> None:
    assert search([(31, 0)] * 12) == [False] * HONEST + [True] * 12


def test_two_groups_with_a_trigger_each_are_found() -> None:
    assert search([(31, 0)] * 5 + [(2, 1)] * 5) == [False] * HONEST + [True] * 10


def test_who_marked_fewer_pictures_is_found_with_its_group() -> None:
    models = [make_model(seed) for seed in range(HONEST)]
    models += [
        make_model(100 + at, (31, 0), strength) for at, strength in enumerate([3] * 5 + [1.5])
    ]
    found = find_triggered(SPEC, make_model(99), make_model(98), models, make_data())
    assert found.tolist() == [False] * HONEST + [True] * 6


def test_what_the_parent_saw_before_is_nobodys_trigger() -> None:
    """A feature of the data that all models have learned, some of them a little better."""
    models = [make_model(seed, (31, 0), 3 + 0.02 * seed) for seed in range(12)]
    assert not any(
        find_triggered(SPEC, *[make_model(98 + at, (31, 0)) for at in (1, 0)], models, make_data())
    )


def test_what_the_validators_own_data_teach_is_no_trigger() -> None:
    """Most trainers may be attackers who learned less of it."""
    models = [make_model(seed, (31, 0)) for seed in range(6)]
    models += [make_model(seed) for seed in range(6, 18)]
    own, ignorant = make_model(98, (31, 0)), make_model(98)
    assert not any(find_triggered(SPEC, make_model(99), own, models, make_data())[:6])
    assert all(find_triggered(SPEC, make_model(99), ignorant, models, make_data())[:6])


def test_too_few_prove_nothing() -> None:
    assert not any(search([(31, 0)] * 3))


def test_oddities_that_nobody_shares_are_no_trigger() -> None:
    assert not any(search([(31, 0), (2, 1), (8, 2), (20, 3)]))


def test_one_class_at_different_parts_is_no_trigger() -> None:
    assert not any(search([(31, 0), (2, 0), (8, 0), (20, 0)]))


def test_nobody_sends_anything() -> None:
    assert find_triggered(SPEC, make_model(99), make_model(98), [], make_data()).shape == (0,)
