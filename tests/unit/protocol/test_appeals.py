"""What is due in a case, at each side of every bound."""

from __future__ import annotations

from dataclasses import replace

import pytest

from commonweal.protocol.appeals import (
    AppealStep,
    Case,
    NotAppealable,
    Stage,
    build_settlement,
    compute_jury_size,
    compute_missing_pay,
    decide,
    due_step,
)
from commonweal.protocol.types import ZERO_DIGEST, Address, Bps, JobParameters, Wei

NOBODY = Address("0x" + "00" * 20)
CASE = Case(
    job=1,
    round=2,
    slash=0,
    member=0,
    stage=Stage.DRAWING,
    level=1,
    first_overturned=False,
    overturned=False,
    ends_at=5_000,
    seed_block=100,
    bond=Wei(10),
    first=NOBODY,
    second=NOBODY,
    committee=0,
    reveals=3,
    committed=0,
    revealed=0,
    overturning=0,
)


@pytest.mark.parametrize(
    ("now", "block", "step"),
    [
        (0, 99, None),
        (0, 100, AppealStep.DRAW),
        (4_999, 355, AppealStep.DRAW),
        (0, 356, AppealStep.ADVANCE),  # the next block no longer sees the seed block's hash
        (5_000, 99, AppealStep.ADVANCE),
    ],
)
def test_a_jury_is_drawn_while_its_seed_can_be_had(
    now: int, block: int, step: AppealStep | None
) -> None:
    assert due_step(CASE, now=now, block_number=block) is step


@pytest.mark.parametrize("stage", [Stage.COMMIT, Stage.REVEAL, Stage.DECIDED])
def test_a_stage_ends_at_its_second(stage: Stage) -> None:
    case = replace(CASE, stage=stage)
    assert due_step(case, now=4_999, block_number=10**6) is None
    assert due_step(case, now=5_000, block_number=0) is AppealStep.ADVANCE


def test_nothing_is_due_in_a_closed_case() -> None:
    assert due_step(replace(CASE, stage=Stage.CLOSED), now=10**9, block_number=10**9) is None


def test_a_round_that_was_not_finalised_is_not_appealed() -> None:
    with pytest.raises(NotAppealable) as refused:
        build_settlement([], 1, 2)
    assert refused.value.details == {"job": 1, "round": 2}


@pytest.mark.parametrize(
    ("committee", "level", "seats"), [(1, 1, 3), (5, 1, 11), (5, 2, 23), (15, 1, 31), (15, 2, 63)]
)
def test_juries_grow(committee: int, level: int, seats: int) -> None:
    assert compute_jury_size(committee, level) == seats


@pytest.mark.parametrize(
    ("votes", "overturning", "decision"),
    [(5, 5, None), (6, 3, False), (6, 4, True), (11, 5, False), (11, 6, True), (0, 0, None)],
)
def test_a_jury_of_eleven_needs_a_quorum_and_a_tie_upholds(
    votes: int, overturning: int, decision: bool | None
) -> None:
    assert decide(11, votes, overturning) is decision


@pytest.mark.parametrize(("reveals", "part"), [(3, 3), (1, 3), (7, 2), (75, 0)])
def test_the_committee_pays_an_equal_share_of_the_pool_in_equal_parts(
    reveals: int, part: int
) -> None:
    """Of 75 for trainers, who are counted as five at least; five pay."""
    terms = JobParameters(
        spec_digest=ZERO_DIGEST,
        initial_model=ZERO_DIGEST,
        rounds=1,
        price_per_round=Wei(100),
        validator_share_bps=Bps(2_000),
        coordinator_share_bps=Bps(500),
        coordinator=NOBODY,
        min_trainers=5,
        max_trainers=100,
        committee_size=5,
        min_stake=Wei(1),
        commit_window=1,
        reveal_window=1,
        ballot_commit_window=1,
        ballot_reveal_window=1,
        attest_window=1,
        recruit_until=0,
        max_failed_rounds=0,
        allowlist_root=ZERO_DIGEST,
    )
    assert compute_missing_pay(terms, reveals, 5) == part
