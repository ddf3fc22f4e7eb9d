"""What faults cost. That the chain agrees is tested on whole lives, in tests/integration."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonweal.adapters.deploying import public_parameters
from commonweal.protocol.stakes import (
    Conduct,
    FreeStakeTooLow,
    Stake,
    clear_missed_duties,
    compute_bounty,
    compute_slash,
    is_missed_duty,
    lock_stake,
    miss_duty,
    take_stake,
    unlock_stake,
)
from commonweal.protocol.types import Address, Bps, Fault, Wei

RULES = replace(
    public_parameters(Address("0x" + "11" * 20)),
    bounty_bps=Bps(1_000),
    bounty_cap=Wei(40),
    max_missed_duties=3,
    unjail_delay=100,
)
amounts = st.integers(0, 2**100).map(Wei)
stakes = st.builds(Stake, amounts, amounts, amounts)


@pytest.mark.parametrize(
    ("amount", "left", "taken"),
    [
        (0, Stake(Wei(5), Wei(7), Wei(9)), 0),
        (5, Stake(Wei(0), Wei(7), Wei(9)), 5),
        (6, Stake(Wei(0), Wei(6), Wei(9)), 6),
        (13, Stake(Wei(0), Wei(0), Wei(8)), 13),
        (22, Stake(Wei(0), Wei(0), Wei(0)), 21),
    ],
)
def test_a_slash_takes_free_then_unbonding_then_locked(
    amount: int, left: Stake, taken: int
) -> None:
    assert take_stake(Stake(Wei(5), Wei(7), Wei(9)), Wei(amount)) == (left, taken)


@given(stakes, amounts)
def test_a_slash_takes_what_it_says_and_never_more_than_there_is(stake: Stake, amount: Wei) -> None:
    left, taken = take_stake(stake, amount)
    assert left.total + taken == stake.total
    assert taken == min(amount, stake.total)
    assert min(left.free, left.unbonding, left.locked) >= 0


@given(stakes, amounts)
def test_locking_and_unlocking_moves_and_keeps_the_sum(stake: Stake, amount: Wei) -> None:
    assert unlock_stake(stake, amount).total == stake.total
    if amount <= stake.free:
        assert unlock_stake(lock_stake(stake, amount), amount) == stake


def test_stake_that_is_not_free_cannot_be_locked() -> None:
    with pytest.raises(FreeStakeTooLow) as raised:
        lock_stake(Stake(Wei(3), Wei(9), Wei(9)), Wei(4))
    assert raised.value.details == {"have": 3, "need": 4}


def test_unlocking_frees_no_more_than_slashes_left() -> None:
    assert unlock_stake(Stake(Wei(1), Wei(0), Wei(3)), Wei(5)) == Stake(Wei(4))


@pytest.mark.parametrize(
    ("fault", "amount"),
    [
        (Fault.UNREVEALED, 10),
        (Fault.INVALID_UPDATE, 50),
        (Fault.UNAVAILABLE_UPDATE, 0),
        (Fault.ABSENT, 10),
        (Fault.EQUIVOCATION, 504),
    ],
)
def test_slashes_are_parts_of_what_is_locked_in_the_job(fault: Fault, amount: int) -> None:
    assert compute_slash(RULES, fault, Wei(1_009)) == amount  # rounded down


def test_a_bounty_is_a_part_of_what_was_taken_up_to_its_cap() -> None:
    assert compute_bounty(RULES, Fault.ABSENT, Wei(99)) == 9
    assert compute_bounty(RULES, Fault.ABSENT, Wei(10_000)) == 40


def test_nobody_earns_by_condemning_an_update() -> None:
    assert compute_bounty(RULES, Fault.INVALID_UPDATE, Wei(10_000)) == 0


def test_the_last_duty_that_may_be_missed_jails_and_a_running_term_is_not_made_longer() -> None:
    conduct = miss_duty(miss_duty(Conduct(), RULES, 1), RULES, 2)
    assert conduct == Conduct(2, 0)
    conduct = miss_duty(conduct, RULES, 3)
    assert conduct == Conduct(3, 103)
    assert miss_duty(conduct, RULES, 50) == Conduct(4, 103)


def test_a_row_can_be_ended_and_the_term_stays() -> None:
    assert clear_missed_duties(Conduct(4, 103)) == Conduct(0, 103)


def test_the_counter_stops_where_the_chain_s_does() -> None:
    assert miss_duty(Conduct(255, 9), RULES, 1).missed_duties == 255


def test_only_unavailable_content_and_absence_are_missed_duties() -> None:
    assert {f for f in Fault if is_missed_duty(f)} == {Fault.UNAVAILABLE_UPDATE, Fault.ABSENT}
