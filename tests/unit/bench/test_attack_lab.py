"""The lab itself, for two rounds each; what it measures at length is not a test's business."""

from dataclasses import replace

import numpy as np
import pytest

from bench.attacks.attacks import ATTACKS, Scene
from bench.attacks.liars import LIES, Courtroom
from bench.attacks.network import Network, Plan, TrainingCache
from bench.attacks.tasks import Skew, Task, make_task
from commonweal.protocol.types import Score

SIZE = 50


@pytest.fixture(scope="module")
def task() -> Task:
    return replace(make_task("digits", 0.5, 0, 10, None), rounds=2)


def make_scene(round_: int, *, first: bool) -> Scene:
    random = np.random.default_rng(round_)

    def some(rows: int) -> np.ndarray:
        return random.standard_normal((rows, SIZE)).astype(np.float32)

    return Scene(
        round=round_,
        honest=some(6),
        own=some(4),
        last_honest=None if first else some(6),
        last_own=None if first else some(4),
        last_step=np.zeros(SIZE, np.float32) if first else some(1)[0],
        references=some(5),
        validation=some(1)[0],
        paid=np.array([True, False, True, False]),
        last_sent=None if first else some(4),
        random=random,
    )


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize(("round_", "first"), [(1, True), (8, False)])
def test_each_attacker_sends_something_that_could_be_a_delta(
    name: str, round_: int, first: bool
) -> None:
    sent = ATTACKS[name].craft(make_scene(round_, first=first))
    assert sent.shape == (4, SIZE)
    assert np.isfinite(sent).all()


@pytest.mark.parametrize("lie", LIES)
def test_each_liar_gives_every_member_a_score(lie: str) -> None:
    honest = {member: Score(1000 * (member % 5)) for member in range(10)}
    ballot = LIES[lie](Courtroom(honest, frozenset({1, 2}), np.random.default_rng(0)))
    assert ballot.keys() == honest.keys()
    assert ballot != honest


def test_whoever_attacks_openly_earns_nothing_and_loses_what_it_cost(task: Task) -> None:
    result = Network(task, Plan("sign-flip", 4, 0, "constant", 0)).run()
    assert result.honest_pay_share == 1.0
    assert result.best_attacker_profit < 0


def test_pay_for_what_an_attacker_honestly_trained_is_none_for_attacking(task: Task) -> None:
    """For two rounds `selective` is honest."""
    result = Network(task, Plan("selective", 4, 0, "constant", 0)).run()
    assert result.honest_pay_share < 0.8
    assert result.attack_pay_share == 0.0


def test_pay_for_what_was_tampered_with_is_pay_for_attacks(task: Task) -> None:
    result = Network(task, Plan("adaptive-scores", 4, 0, "constant", 0)).run()
    assert result.honest_pay_share < 1
    assert result.attack_pay_share == pytest.approx(1 - result.honest_pay_share)


def test_whoever_learns_from_the_shared_set_alone_is_still_paid(task: Task) -> None:
    """What decision 28 says is not stopped; all of that pay counts as an attack's."""
    network = Network(task, Plan("free-rider-shared", 4, 0, "constant", 0))
    shared = task.parts[0].holdout
    assert all(network._data[member] is shared for member in network.attackers)
    assert all(len(network._data[member]) > len(shared) for member in network.honest)
    result = network.run()
    assert 0.1 < result.attack_pay_share == pytest.approx(1 - result.honest_pay_share)


def test_a_majority_of_copies_makes_no_honest_trainer_look_odd() -> None:
    task = replace(make_task("digits", 0.5, 1, 20, None), rounds=4)
    result = Network(task, Plan("sybil-jitter", 12, 0, "constant", 1)).run()
    assert result.lowest_over_median_honest_pay > 0.5


def test_a_backdoor_of_a_majority_is_neither_paid_nor_learned() -> None:
    task = replace(make_task("digits", 0.5, 1, 20, None), rounds=4)
    result = Network(task, Plan("backdoor", 12, 0, "constant", 1)).run()
    assert result.attack_pay_share < 0.02
    assert result.backdoor_success < 0.05


def test_without_attackers_all_pay_goes_to_the_honest(task: Task) -> None:
    result = Network(task, Plan(None, 4, 0, "constant", 0)).run()
    assert result.honest_pay_share == 1.0
    assert result.lowest_over_median_honest_pay > 0


def test_the_same_plan_gives_the_same_result(task: Task) -> None:
    plan = Plan("adaptive", 4, 1, "favouring", 3)
    assert Network(task, plan).run() == Network(task, plan).run()


def test_a_cache_of_training_changes_no_result(task: Task) -> None:
    cache = TrainingCache(task)
    plans = [Plan(attack, 4, 0, "constant", 0) for attack in ("scaled", "sign-flip")]
    alone = [Network(task, plan).run() for plan in plans]
    assert [Network(task, plan, cache).run() for plan in plans] == alone
    assert 0 < len(cache.deltas) < 2 * 2 * 11


@pytest.mark.parametrize("paid", [True, False])
def test_who_adapts_to_scores_harms_more_once_paid(paid: bool) -> None:
    """Read off what it sent: a quarter of harm at first, then three eighths or an eighth."""
    first, then = make_scene(1, first=True), make_scene(2, first=False)
    sent = ATTACKS["adaptive-scores"].craft(first)
    then = replace(
        then,
        last_sent=sent,
        last_own=first.own,
        last_honest=first.honest,
        paid=np.full(4, paid),
    )
    harm = -then.honest.mean(axis=0)
    harm /= np.linalg.norm(harm)
    for row, own in zip(ATTACKS["adaptive-scores"].craft(then), then.own, strict=True):
        parts = np.stack([own / np.linalg.norm(own), harm], axis=1)
        (trained, harmed), *_ = np.linalg.lstsq(parts, row, rcond=None)
        assert harmed / (trained + harmed) == pytest.approx(0.375 if paid else 0.125, abs=1e-4)


@pytest.mark.parametrize("skew", ["label", "quantity", "feature"])
def test_each_skew_deals_all_but_the_validation_set(skew: Skew) -> None:
    task = make_task("digits", 0.5, 0, 10, None, skew)
    rows = sum(len(part.train) for part in task.parts)
    assert rows + len(task.parts[0].holdout) + len(task.test) == 1797
