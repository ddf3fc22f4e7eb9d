"""What the ballots say together: one score per revealed update, one share per seat.

The chain computes the same; nobody off chain is believed. Money is in `rewards`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from commonweal.errors import InvalidInput
from commonweal.protocol.types import (
    BPS,
    SCORE_INVALID,
    SCORE_MAX,
    SCORE_UNAVAILABLE,
    Bps,
    Score,
    Verdict,
)


class BallotLengthWrong(InvalidInput):
    code = "ballot-length-wrong"


@dataclass(frozen=True, slots=True)
class Tally:
    scores: tuple[Score, ...]  # per revealed update, members ascending
    shares: tuple[Bps, ...]  # per seat

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        return tuple(Verdict.of(score) for score in self.scores)


def tally(
    revealed: Sequence[int], committee: Sequence[int], ballots: Mapping[int, Sequence[int]]
) -> Tally:
    """`revealed`: members ascending; `committee`: members by seat; `ballots`: scores by seat."""
    for seat, ballot in ballots.items():
        if len(ballot) != len(revealed):
            raise BallotLengthWrong(
                f"seat {seat} scored {len(ballot)} of {len(revealed)} updates",
                seat=seat,
                have=len(ballot),
                need=len(revealed),
            )
    scores = tuple(
        compute_verdict_score(
            [ballot[at] for seat, ballot in ballots.items() if committee[seat] != member]
        )
        for at, member in enumerate(revealed)
    )
    shares = tuple(
        compute_share(_counted(revealed, member, ballots[seat], scores))
        if seat in ballots
        else Bps(0)
        for seat, member in enumerate(committee)
    )
    return Tally(scores, shares)


def compute_verdict_score(counted: Sequence[int]) -> Score:
    """The verdict on one update from the scores that count for it."""
    if 2 * counted.count(SCORE_INVALID) > len(counted):
        return SCORE_INVALID
    if 2 * counted.count(SCORE_UNAVAILABLE) > len(counted):
        return SCORE_UNAVAILABLE
    ordinary = sorted(score for score in counted if score <= SCORE_MAX)
    return Score(ordinary[(len(ordinary) - 1) // 2]) if ordinary else Score(0)


def compute_share(counted: Sequence[tuple[int, int]]) -> Bps:
    """How near a ballot came to the verdicts; `counted`: (its score, the verdict's score)."""
    deviation = sum(abs(_value(own) - _value(verdict)) for own, verdict in counted)
    weight = sum(_value(verdict) for _, verdict in counted)
    if weight == 0:
        return Bps(BPS if deviation == 0 else 0)
    return Bps(0 if deviation >= weight else BPS - BPS * deviation // weight)


def _counted(
    revealed: Sequence[int], judge: int, ballot: Sequence[int], scores: Sequence[int]
) -> list[tuple[int, int]]:
    return [
        (own, verdict)
        for member, own, verdict in zip(revealed, ballot, scores, strict=True)
        if member != judge
    ]


def _value(score: int) -> int:
    return score if score <= SCORE_MAX else 0
