"""Which transition is due: one job and round, varied phase by phase."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from commonweal.protocol.batches import BallotOpening, RoundRecord
from commonweal.protocol.keeping import Transition, due_transition, transition_call
from commonweal.protocol.types import (
    ZERO_DIGEST,
    Address,
    Bps,
    Digest,
    Job,
    JobParameters,
    JobState,
    Phase,
    Round,
    Wei,
)

NOBODY = Address("0x" + "00" * 20)
PARAMETERS = JobParameters(
    spec_digest=ZERO_DIGEST,
    initial_model=ZERO_DIGEST,
    rounds=2,
    price_per_round=Wei(100),
    validator_share_bps=Bps(0),
    coordinator_share_bps=Bps(0),
    coordinator=NOBODY,
    min_trainers=2,
    max_trainers=4,
    committee_size=3,
    min_stake=Wei(1),
    commit_window=10,
    reveal_window=10,
    ballot_commit_window=10,
    ballot_reveal_window=10,
    attest_window=10,
    recruit_until=500,
    max_failed_rounds=1,
    allowlist_root=ZERO_DIGEST,
)
JOB = Job(1, NOBODY, JobState.RUNNING, 1, 0, 0, 4, 4, 4, Wei(200), Wei(1), PARAMETERS)
ROUND = Round(
    job=1,
    round=2,
    phase=Phase.COMMIT,
    ends_at=1000,
    seed_block=50,
    expected=4,
    commits=0,
    reveals=0,
    batches=0,
    committee_size=3,
    committee=(),
    ballots_committed=frozenset(),
    ballots_revealed=frozenset(),
    attested=frozenset(),
    parent_model=ZERO_DIGEST,
    agreed_model=ZERO_DIGEST,
    committed=frozenset(),
    revealed=frozenset(),
)
OPENING = BallotOpening(b"", bytes(32))
DRAWN = {"committee": (0, 1, 2)}
SEATS = frozenset({0, 1, 2})


def due(
    *, now: int = 999, block: int = 50, record: RoundRecord | None = None, **round_: Any
) -> Any:
    return due_transition(replace(ROUND, **round_), JOB, now=now, block_number=block, record=record)


@pytest.mark.parametrize(
    ("round_", "now", "expected"),
    [
        ({"commits": 3}, 999, None),
        ({"commits": 3}, 1000, Transition.ADVANCE),
        ({"commits": 0}, 1000, Transition.ADVANCE),
        ({"commits": 4}, 10, Transition.ADVANCE),
        ({"commits": 1, "expected": 1}, 10, None),  # fewer than minTrainers: others may still come
    ],
)
def test_commit_ends_with_the_last_expected_or_at_its_deadline(
    round_: Any, now: int, expected: Transition | None
) -> None:
    assert due(**round_, now=now) is expected


@pytest.mark.parametrize(
    ("round_", "block", "now", "expected"),
    [
        ({"commits": 3, "reveals": 3}, 49, 10, None),  # the next block would not see the seed
        ({"commits": 3, "reveals": 3}, 50, 10, Transition.DRAW),
        ({"commits": 3, "reveals": 3}, 305, 10, Transition.DRAW),
        ({"commits": 3, "reveals": 3}, 306, 10, Transition.ADVANCE),  # out of reach: armed again
        ({"commits": 3, "reveals": 2}, 113, 10, None),  # the draw goes with the last reveals
        ({"commits": 3, "reveals": 2}, 114, 10, Transition.DRAW),  # unless they are held back
        ({"commits": 3, "reveals": 2}, 60, 1000, Transition.DRAW),
        ({"commits": 3, "reveals": 2}, 49, 1000, None),
        ({"commits": 3, "reveals": 0}, 60, 1000, Transition.ADVANCE),  # too few: the round fails
        ({"commits": 3, "reveals": 2}, 60, 10 * 86_400, Transition.ADVANCE),  # nobody could draw
        ({"commits": 3, "reveals": 2, **DRAWN}, 60, 10, None),
        ({"commits": 3, "reveals": 2, **DRAWN}, 60, 1000, Transition.ADVANCE),
    ],
)
def test_reveal_waits_for_openings_and_the_seed(
    round_: Any, block: int, now: int, expected: Transition | None
) -> None:
    assert due(phase=Phase.REVEAL, **round_, block=block, now=now) is expected


@pytest.mark.parametrize(
    ("seats", "now", "expected"),
    [({0, 1}, 10, None), ({0, 1, 2}, 10, Transition.ADVANCE), ({0}, 1000, Transition.ADVANCE)],
)
def test_ballots_are_committed_by_all_seats_or_until_the_deadline(
    seats: set[int], now: int, expected: Transition | None
) -> None:
    committed = frozenset(seats)
    assert due(phase=Phase.BALLOT_COMMIT, **DRAWN, ballots_committed=committed, now=now) is expected


@pytest.mark.parametrize(
    ("revealed", "known", "now", "expected"),
    [
        ({0, 1}, {0, 1}, 10, None),
        ({0, 1}, {0, 1}, 1000, Transition.TALLY),
        ({0, 1}, {0}, 1000, None),  # not all openings are here yet
        ({0}, {0}, 1000, Transition.ADVANCE),  # no quorum: the round fails
        ({0, 1, 2}, {0, 1, 2}, 10, Transition.TALLY),
    ],
)
def test_ballots_are_tallied_when_complete_or_late(
    revealed: set[int], known: set[int], now: int, expected: Transition | None
) -> None:
    record = RoundRecord(1, 2, ballots=dict.fromkeys(known, OPENING))
    ballots = {"ballots_committed": SEATS, "ballots_revealed": frozenset(revealed)}
    found = due(phase=Phase.BALLOT_REVEAL, **DRAWN, **ballots, now=now, record=record)
    assert found is expected


@pytest.mark.parametrize(
    ("agreed", "now", "expected"),
    [
        (ZERO_DIGEST, 10, None),
        (ZERO_DIGEST, 1000, Transition.ADVANCE),
        (Digest(b"\x01" * 32), 10, Transition.FINALISE),
        (Digest(b"\x01" * 32), 1000, Transition.FINALISE),
    ],
)
def test_a_round_is_finalised_on_its_agreed_model(
    agreed: Digest, now: int, expected: Transition | None
) -> None:
    assert due(phase=Phase.ATTEST, **DRAWN, agreed_model=agreed, now=now) is expected


@pytest.mark.parametrize(
    ("job", "now", "expected"),
    [
        ({}, 499, Transition.ADVANCE),  # full
        ({"active_trainers": 3}, 499, None),
        ({"active_trainers": 3}, 500, Transition.ADVANCE),
        ({"active_trainers": 1}, 500, None),
        ({"active_validators": 2}, 500, None),
        ({"state": JobState.COMPLETED}, 500, None),
        ({"state": JobState.RUNNING}, 500, None),
    ],
)
def test_a_job_starts_when_it_has_recruited_enough(
    job: Any, now: int, expected: Transition | None
) -> None:
    recruiting = replace(JOB, **{"state": JobState.RECRUITING, **job})
    before = replace(ROUND, phase=Phase.NONE, round=0)
    assert due_transition(before, recruiting, now=now, block_number=1) is expected


def test_each_transition_has_its_call() -> None:
    record = RoundRecord(1, 2)
    functions = [transition_call(transition, 1, record).function for transition in Transition]
    assert functions == ["advance", "draw", "revealBallots", "finalise"]
