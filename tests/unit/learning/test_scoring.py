from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from scoring_samples import (
    HONEST,
    MEMORY,
    PARENT,
    SPEC,
    candidate,
    make_data,
    make_local,
    noise,
    scaled,
    train_delta,
)

from commonweal.learning.contributions import flatten, move
from commonweal.learning.data import Dataset, LocalData
from commonweal.learning.encoding import compute_delta
from commonweal.learning.scoring import (
    Candidate,
    InvalidMemory,
    ScoringMemory,
    recall_round,
    score_updates,
)
from commonweal.learning.weights import Weights
from commonweal.protocol.specs import (
    JobSpec,
    ScoringSpec,
)
from commonweal.protocol.types import SCORE_INVALID, SCORE_MAX, SCORE_UNAVAILABLE
from commonweal.protocol.verdicts import tally


def score_with(honest, local, delta, *, memory=MEMORY, parent=PARENT):
    candidates = [*honest, candidate(9, delta)]
    return score_updates(SPEC, parent, candidates, local, memory, seed=1)


def test_honest_updates_all_score(honest, local):
    scores, _ = score_updates(SPEC, PARENT, honest, local, MEMORY, seed=1)
    assert all(1 <= scores[member] <= SCORE_MAX for member in HONEST)
    assert max(scores.values()) <= 2 * min(scores.values())


def test_scoring_again_gives_the_same_ballot(honest, local):
    first, _ = score_updates(SPEC, PARENT, honest, local, MEMORY, seed=1)
    again, _ = score_updates(SPEC, PARENT, honest, local, MEMORY, seed=1)
    assert first == again


def mislabelled() -> Dataset:
    data = make_data(4)
    return replace(data, y=(data.y + 1) % 4)


@pytest.mark.parametrize(
    "make",
    [
        lambda: scaled(train_delta(4), -1),
        lambda: scaled(train_delta(4), -10),
        lambda: scaled(train_delta(4), -0.1),
        lambda: noise(1),
        lambda: scaled(noise(1), 1e-3),
        lambda: scaled(train_delta(4), 0),
        lambda: scaled(train_delta(4), 1e-4),
        lambda: train_delta(4, data=mislabelled()),
    ],
    ids=["flip", "flip-10", "flip-tenth", "noise", "quiet-noise", "zero", "idle", "label-flip"],
)
def test_an_attack_scores_zero_and_honest_updates_beside_it_do_not(honest, local, make):
    scores, _ = score_with(honest, local, make())
    assert scores[9] == 0
    assert all(scores[member] > 0 for member in HONEST)


def test_a_scaled_update_scores_no_more_than_without_the_scaling(honest, local):
    plain, _ = score_with(honest, local, train_delta(4))
    scores, _ = score_with(honest, local, scaled(train_delta(4), 100))
    assert 0 < scores[9] <= max(plain.values())


def test_three_attackers_of_four_score_zero(honest, local):
    attack = scaled(train_delta(4), -3)
    others = [noise(member) for member in (20, 21)]
    flippers = [attack, *others, scaled(train_delta(5), -1)]
    candidates = [honest[0], *(candidate(9 + i, delta) for i, delta in enumerate(flippers))]
    scores, _ = score_updates(SPEC, PARENT, candidates, local, MEMORY, seed=1)
    assert scores[0] > 0
    assert {scores[9 + i] for i in range(4)} == {0}


def test_a_majority_that_sends_nothing_does_not_set_what_is_usual(honest, local):
    """A median norm of all is zero then, and nobody was paid."""
    nothing = [candidate(10 + m, scaled(train_delta(m), 0)) for m in range(6)]
    scores, _ = score_updates(SPEC, PARENT, [*honest, *nothing], local, MEMORY, seed=1)
    alone, _ = score_updates(SPEC, PARENT, honest, local, MEMORY, seed=1)
    assert all(alone.values())
    assert scores == {**alone, **dict.fromkeys(range(10, 16), 0)}


def test_of_two_equal_updates_none_is_paid(honest, local):
    delta = train_delta(2)
    nudged = {name: tensor + np.float32(1e-5) for name, tensor in delta.items()}
    for copy in (delta, scaled(delta, 0.5), nudged):
        scores, _ = score_with(honest, local, copy)
        assert scores[2] == scores[9] == 0
        assert all(scores[member] > 0 for member in (0, 1, 3))


def test_who_sends_anothers_earlier_update_does_not_make_it_look_copied(honest, local):
    _, memory = score_updates(SPEC, PARENT, honest, local, MEMORY, seed=1)
    later = {name: tensor + honest[0].delta[name] for name, tensor in PARENT.items()}
    fresh = [candidate(member, train_delta(member, later)) for member in HONEST]
    copies = [candidate(9 + at, scaled(honest[at].delta, 1.01)) for at in range(2)]
    scores, _ = score_updates(SPEC, later, [*fresh, *copies], local, memory, seed=2)
    assert all(scores[member] > 0 for member in HONEST)
    assert scores[9] == scores[10] == 0


def test_who_turns_against_its_own_updates_is_not_paid(local):
    updates = [candidate(m, train_delta(m)) for m in HONEST]
    _, memory = score_updates(SPEC, PARENT, updates, local, MEMORY, seed=1)
    turned = [*updates[:2], candidate(2, scaled(train_delta(50), -1))]
    near = {name: tensor + np.float32(1e-3) for name, tensor in PARENT.items()}
    scores, after = score_updates(SPEC, near, turned, local, memory, seed=2)
    assert scores[2] == 0
    assert after.standing[2] == -1


def test_a_standing_below_zero_is_won_back_slowly(honest, local):
    mistrusted = replace(MEMORY, standing={2: -0.5})
    scores, after = score_updates(SPEC, PARENT, honest, local, mistrusted, seed=1)
    assert scores[2] == 0
    assert -0.5 < after.standing[2] < -0.3
    assert scores[0] > 0


def leaning(seed: int, share: float, honest: list[Candidate]) -> Weights:
    """Noise with a cosine of `share` to what honest updates teach, as long as one of them."""
    deltas = [each.delta for each in honest if each.delta is not None]
    *taught, other = flatten([*deltas, noise(seed)], PARENT, [1.0] * (len(deltas) + 1))
    along = np.mean(taught, axis=0) / np.linalg.norm(np.mean(taught, axis=0))
    across = other - (other @ along) * along
    unit = share * along + np.sqrt(1 - share**2) * across / np.linalg.norm(across)
    step = (np.linalg.norm(taught[0]) * unit).astype(np.float32)
    return compute_delta(move(PARENT, step), PARENT)


def test_who_points_nowhere_lives_on_its_standing_only_where_nobody_agrees(honest, local):
    """Near convergence honest updates cancel, which is no news about whoever sends them."""
    trusted = replace(MEMORY, standing=dict.fromkeys([*HONEST, 9], 0.3))
    against = leaning(9, -0.18, honest)
    scores, after = score_with(honest, local, against, memory=trusted)
    assert all(scores[member] for member in HONEST)
    assert scores[9] == 0
    assert after.standing[9] < 0.15
    cancelling = [candidate(m, leaning(m, 0.18 * (-1) ** m, honest)) for m in HONEST]
    _, after = score_with(cancelling, local, against, memory=trusted)
    assert 0.25 < after.standing[9] < 0.3


def test_a_group_that_failed_before_does_not_vouch_for_itself(local):
    """Flipped labels teach nearly one direction: each would lend the others its agreement."""
    flipped = [
        candidate(10 + m, train_delta(m, data=Dataset(make_data(m).x, 3 - make_data(m).y)))
        for m in range(4)
    ]
    liked = LocalData(*(Dataset(part.x, 3 - part.y) for part in (local.train, local.holdout)))
    trusting, _ = score_updates(SPEC, PARENT, flipped, liked, MEMORY, seed=1)
    assert all(trusting.values())
    failed = replace(MEMORY, standing=dict.fromkeys(range(10, 14), 0.0))
    _, vouching = score_updates(SPEC, PARENT, flipped, liked, MEMORY, seed=1)
    _, alone = score_updates(SPEC, PARENT, flipped, liked, failed, seed=1)
    for member in range(10, 14):
        assert 2 * alone.standing[member] < vouching.standing[member]


def test_an_update_of_an_earlier_round_scores_zero_whoever_sends_it(honest, local):
    _, memory = score_updates(SPEC, PARENT, honest, local, MEMORY, seed=1)
    later = {name: tensor + honest[0].delta[name] for name, tensor in PARENT.items()}
    fresh = [candidate(member, train_delta(member, later)) for member in (0, 1)]
    stale = [honest[2], candidate(9, honest[3].delta)]
    scores, _ = score_updates(SPEC, later, [*fresh, *stale], local, memory, seed=2)
    assert scores[0] > 0
    assert scores[1] > 0
    assert scores[2] == scores[9] == 0


def test_who_sits_for_the_first_time_sees_what_was_sent_in_the_round_before(honest, local):
    later = {name: tensor + honest[0].delta[name] for name, tensor in PARENT.items()}
    fresh = [candidate(member, train_delta(member, later)) for member in (0, 1)]
    sent = [*fresh, honest[2]]
    unaware, _ = score_updates(SPEC, later, sent, local, MEMORY, seed=2)
    faulty = candidate(8, None, "unavailable")
    aware, _ = score_updates(
        SPEC, later, sent, local, recall_round(MEMORY, PARENT, [*honest, faulty]), seed=2
    )
    assert unaware[2] > 0
    assert aware[2] == 0
    assert aware[0] > 0
    assert aware[1] > 0


def test_a_round_it_judged_itself_is_not_recalled_again(honest, local):
    _, memory = score_updates(SPEC, PARENT, honest, local, MEMORY, seed=1)
    assert recall_round(memory, PARENT, honest) is memory


def test_a_copy_in_the_round_before_does_not_make_the_original_look_copied(honest, local):
    """The round failed, so it starts again from the same model, and its sender sends it again."""
    copied = candidate(9, honest[0].delta)
    memory = recall_round(MEMORY, PARENT, [*honest, copied])
    scores, _ = score_updates(SPEC, PARENT, honest, local, memory, seed=2)
    assert all(scores[member] > 0 for member in HONEST)


def test_after_a_failed_round_its_sender_may_repeat_an_update_and_nobody_else(honest, local):
    _, memory = score_updates(SPEC, PARENT, honest, local, MEMORY, seed=1)
    candidates = [*honest[:3], candidate(9, honest[3].delta)]
    scores, _ = score_updates(SPEC, PARENT, candidates, local, memory, seed=2)
    assert all(scores[member] > 0 for member in range(3))
    assert scores[9] == 0


def test_faults_have_their_own_scores(local, honest):
    nan = train_delta(4)
    nan["output.bias"][0] = np.nan
    faulty = [
        candidate(10, None, "unavailable"),
        candidate(11, None, "invalid"),
        candidate(12, nan),
        candidate(13, {"output.bias": nan["output.bias"]}),
        candidate(14, {**train_delta(4), "output.bias": np.zeros(5, np.float32)}),
        candidate(15, {name: t.astype(np.float64) for name, t in train_delta(4).items()}),
        candidate(16, scaled(train_delta(4), np.inf)),
    ]
    scores, _ = score_updates(SPEC, PARENT, [*honest, *faulty], local, MEMORY, seed=1)
    assert scores[10] == SCORE_UNAVAILABLE
    assert {scores[member] for member in range(11, 17)} == {SCORE_INVALID}
    assert scores[0] > 0


RULES = ("agreement-and-leave-one-out", "agreement", "leave-one-out", "shapley")


def by_rule(rule: str) -> JobSpec:
    return SPEC.model_copy(update={"scoring": ScoringSpec(reference_epochs=2, rule=rule)})


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", [3e38, 1e30])
def test_by_each_rule_a_giant_is_not_paid_and_changes_nothing_for_others(honest, local, rule, size):
    giant = {name: np.full_like(tensor, size) for name, tensor in PARENT.items()}
    sent = [*honest, candidate(9, giant)]
    scores, memory = score_updates(by_rule(rule), PARENT, sent, local, MEMORY, seed=1)
    without, _ = score_updates(by_rule(rule), PARENT, honest, local, MEMORY, seed=1)
    assert scores == {**without, 9: 0}
    assert 9 not in memory.records["member"]
    assert len(recall_round(MEMORY, PARENT, sent).sketches) == len(HONEST)


@pytest.mark.parametrize("rule", RULES)
def test_by_each_rule_what_is_not_new_or_nothing_is_not_paid(honest, local, rule):
    _, memory = score_updates(by_rule(rule), PARENT, honest, local, MEMORY, seed=1)
    near = {name: tensor + np.float32(1e-3) for name, tensor in PARENT.items()}
    fresh = candidate(0, train_delta(10, near))
    idle = [candidate(8, scaled(train_delta(8), 0)), candidate(9, scaled(train_delta(9), 1e-3))]
    sent = [fresh, honest[2], candidate(7, honest[3].delta), *idle]
    scores, _ = score_updates(by_rule(rule), near, sent, local, memory, seed=2)
    assert scores[0] > 0
    assert [scores[member] for member in (2, 7, 8, 9)] == [0, 0, 0, 0]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", [1e30, 3e38])
def test_by_each_rule_a_model_that_nobody_can_train_leaves_a_ballot(honest, local, rule, size):
    """A seat that fell silent would be slashed for what the job's requester made."""
    parent = {name: np.full_like(tensor, size) for name, tensor in PARENT.items()}
    scores, _ = score_updates(by_rule(rule), parent, honest, local, MEMORY, seed=1)
    assert scores == dict.fromkeys(HONEST, 0)


def test_leave_one_out_pays_no_effect_that_may_be_chance(honest, local, monkeypatch):
    effects = np.array([8.0, 2.1, 1.9, 0.1])
    monkeypatch.setattr(
        "commonweal.learning.scoring.compute_leave_one_out", lambda *_: effects.copy()
    )
    scores, _ = score_updates(by_rule("leave-one-out"), PARENT, honest, local, MEMORY, seed=1)
    assert [score > 0 for _, score in sorted(scores.items())] == [True, True, False, False]


@pytest.mark.parametrize("rule", RULES)
def test_by_each_rule_honest_updates_are_paid_and_the_opposite_and_nan_are_not(honest, local, rule):
    spec = by_rule(rule)
    broken = train_delta(5)
    broken["output.bias"][0] = np.nan
    sent = [*honest, candidate(8, scaled(train_delta(4), -1)), candidate(9, broken)]
    scores, memory = score_updates(spec, PARENT, sent, local, MEMORY, seed=1)
    assert sum(scores[member] > 0 for member in HONEST) >= 3
    assert scores[8] == 0
    assert scores[9] == SCORE_INVALID
    assert score_updates(spec, PARENT, sent, local, MEMORY, seed=1)[0] == scores
    assert len(memory.sketches) == len(HONEST) + 1


def test_a_rule_nobody_knows_is_refused():
    with pytest.raises(ValidationError):
        ScoringSpec(rule="by-name")


def test_nothing_to_score_is_an_empty_ballot(local):
    assert score_updates(SPEC, PARENT, [], local, MEMORY, seed=1)[0] == {}
    only = [candidate(3, None, "unavailable")]
    assert score_updates(SPEC, PARENT, only, local, MEMORY, seed=1)[0] == {3: SCORE_UNAVAILABLE}


def test_a_turncoat_loses_its_pay_at_once(local):
    model, memory = PARENT, MEMORY
    for round_ in range(2):
        updates = [candidate(m, train_delta(m + 10 * round_, model)) for m in HONEST]
        scores, memory = score_updates(SPEC, model, updates, local, memory, seed=round_)
        assert all(scores.values())
        model = {name: tensor + updates[0].delta[name] for name, tensor in model.items()}
    updates = [candidate(m, train_delta(m + 20, model)) for m in HONEST]
    updates[2] = candidate(2, scaled(updates[2].delta, -1))
    updates[3] = candidate(3, noise(3))
    scores, _ = score_updates(SPEC, model, updates, local, memory, seed=3)
    assert scores[2] == scores[3] == 0
    assert scores[0] > 0


@pytest.mark.parametrize("lie", [0, 65_533, 65_534, 65_535])
def test_one_lying_validator_changes_no_verdict(honest, lie):
    attack = candidate(5, scaled(train_delta(4), -3))
    candidates = [*honest, attack]
    ballots = {}
    for seat in range(5):
        scores, _ = score_updates(
            SPEC, PARENT, candidates, make_local(60 + seat), MEMORY, seed=seat
        )
        ballots[seat] = [scores[c.member] for c in candidates]
    truth = tally([0, 1, 2, 3, 5], range(20, 25), ballots)
    lied = tally([0, 1, 2, 3, 5], range(20, 25), {**ballots, 0: [lie] * 5})
    assert [v.name for v in truth.verdicts] == ["VERIFIED"] * 4 + ["REJECTED"]
    assert lied.verdicts == truth.verdicts
    assert min(truth.shares) > 7000


def test_memory_survives_being_written_and_read(honest, local):
    _, memory = score_updates(SPEC, PARENT, honest, local, MEMORY, seed=1)
    restored = ScoringMemory.from_bytes(memory.to_bytes())
    assert restored == memory
    candidates = [candidate(9, honest[0].delta)]
    assert score_updates(SPEC, PARENT, candidates, local, restored, seed=2)[0] == {9: 0}


def change_entry(archive: bytes, offset: int, value: int) -> bytes:
    """Of the first entry of a zip's directory."""
    at = archive.index(b"PK\x01\x02") + offset
    return archive[:at] + bytes([value]) + archive[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: b"",
        lambda d: d[:-30],
        lambda d: b"\x80\x04.",
        lambda d: change_entry(d, 8, 1),  # encrypted
        lambda d: change_entry(d, 10, 99),  # compressed in a way that nobody knows
    ],
)
def test_damaged_memory_is_refused(honest, local, damage):
    with pytest.raises(InvalidMemory):
        ScoringMemory.from_bytes(damage(MEMORY.to_bytes()))


def test_memory_forgets_after_some_rounds(honest, local):
    memory = MEMORY
    for round_ in range(12):
        updates = [candidate(0, noise(round_))]
        _, memory = score_updates(SPEC, PARENT, updates, local, memory, seed=round_)
    assert len(memory.sketches) == len(memory.records) == 8


def test_who_sends_the_same_for_ever_is_not_forgotten(local):
    memory, parent = MEMORY, PARENT
    for round_ in range(11):
        sent = [candidate(0, train_delta(round_, parent)), candidate(9, train_delta(99))]
        scores, memory = score_updates(SPEC, parent, sent, local, memory, seed=round_)
        assert (scores[9] > 0) == (round_ == 0)
        parent = {name: tensor + np.float32(1e-3) for name, tensor in parent.items()}
