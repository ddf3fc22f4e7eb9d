"""Chances of seats: against counting by hand, and against the protocol's own draw."""

from fractions import Fraction
from itertools import permutations
from math import comb

import pytest
from scipy import stats

from bench.economics.capture import (
    Crowd,
    agreement,
    compute_power,
    compute_seats,
    compute_standing,
    find_break,
    majority,
    simulate_seats,
    veto,
)
from bench.economics.hearing import Hearing


def count_by_hand(weights: list[int], dishonest: int, seats: int) -> list[float]:
    """Every order in which seats can go to members, with its chance."""
    chances = [Fraction(0)] * (seats + 1)
    for order in permutations(range(len(weights)), seats):
        left, chance = sum(weights), Fraction(1)
        for member in order:
            chance *= Fraction(weights[member], left)
            left -= weights[member]
        chances[sum(member < dishonest for member in order)] += chance
    return [float(chance) for chance in chances]


@pytest.mark.parametrize(
    ("crowd", "weights"),
    [
        (Crowd(2, 4), [1, 1, 1, 1, 1, 1]),
        (Crowd(2, 4, 3.0), [3, 3, 1, 1, 1, 1]),
        (Crowd(3, 3, 0.5), [1, 1, 1, 2, 2, 2]),
        (Crowd(0, 5), [1, 1, 1, 1, 1]),
    ],
)
def test_chances_of_seats_are_those_counted_by_hand(crowd: Crowd, weights: list[int]) -> None:
    by_hand = count_by_hand(weights, crowd.dishonest, 3)
    assert compute_seats(crowd, 3) == pytest.approx(by_hand, abs=1e-9)


@pytest.mark.parametrize("crowd", [Crowd(10, 20), Crowd(4, 20, 5.0)])
def test_the_protocol_s_draw_gives_seats_as_often(crowd: Crowd) -> None:
    draws, exact = 4_000, compute_seats(crowd, 5)
    drawn = simulate_seats(crowd, 5, draws, seed=1)
    likely = [at for at, chance in enumerate(exact) if chance * draws >= 5]
    seen = [drawn[at] * draws for at in likely]
    scale = sum(seen) / sum(exact[at] for at in likely)
    assert stats.chisquare(seen, [exact[at] * scale for at in likely]).pvalue > 0.001


@pytest.mark.parametrize(
    ("seats", "verdicts", "model", "stop"),
    [(3, 2, 3, 1), (5, 3, 4, 2), (9, 5, 7, 3), (15, 8, 11, 5)],
)
def test_what_it_takes(seats: int, verdicts: int, model: int, stop: int) -> None:
    assert (majority(seats), agreement(seats), veto(seats)) == (verdicts, model, stop)
    assert 3 * model > 2 * seats >= 3 * (model - 1)
    assert seats - stop < model


def test_a_whale_of_one_identity_has_one_seat() -> None:
    whale, split = Crowd(1, 50, 50.0), Crowd(50, 50)
    assert whale.share == split.share == 0.5
    assert compute_power(whale, 5, majority(5)) == 0
    assert compute_power(split, 5, majority(5)) == pytest.approx(0.5)


def test_each_jury_makes_a_wrong_verdict_less_likely_to_stand_below_a_half() -> None:
    crowd = Crowd(40, 60)
    chances = [compute_standing(crowd, 5, juries) for juries in (0, 1, 2)]
    assert chances[0] == pytest.approx(compute_power(crowd, 5, majority(5)))
    assert chances[0] > chances[1] > chances[2] > 0


def test_one_jury_over_a_captured_committee_of_one_by_hand() -> None:
    """Four of nine dishonest; then three seats from three of them and four others."""
    stands = Fraction(4, 9) * Fraction(comb(3, 2) * 4 + comb(3, 3), comb(7, 3))
    assert compute_standing(Crowd(4, 5), 1, 1) == pytest.approx(float(stands))


def test_a_jury_that_cannot_be_filled_changes_nothing() -> None:
    crowd = Crowd(4, 8)  # 12 are too few for 5 + 11 + the accused
    assert compute_standing(crowd, 5, 1) == pytest.approx(compute_power(crowd, 5, majority(5)))


def test_breaks_are_where_the_chance_crosses_the_tolerance() -> None:
    stake = find_break(5, majority(5), 0.1)
    within, beyond = round(100 * stake), round(100 * stake) + 1
    assert compute_power(Crowd(within, 100 - within), 5, 3) <= 0.1
    assert compute_power(Crowd(beyond, 100 - beyond), 5, 3) > 0.1


def hold(partial: set[int], validators: int) -> Hearing:
    weights = [(member, 100) for member in range(validators)]
    return Hearing.hold(5, weights, partial, [bytes(32), bytes([1] * 32)])


@pytest.mark.parametrize(
    ("partial", "validators", "hearing"),
    [
        (set[int](), 34, Hearing(True, 0)),
        (set(range(34)), 34, Hearing(False, 3)),  # both bonds: one and two
        (set(range(34)), 33, Hearing(False, 1)),  # the second jury cannot be filled
        (set[int](), 10, Hearing(False, 0)),  # nor the first: void
    ],
)
def test_who_hears_decides(partial: set[int], validators: int, hearing: Hearing) -> None:
    assert hold(partial, validators) == hearing
