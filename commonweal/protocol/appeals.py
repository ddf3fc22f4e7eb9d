"""Slashes and models on trial: what a case is, and what one has to bring to open it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from commonweal.errors import Conflict
from commonweal.protocol.batches import collect_round
from commonweal.protocol.commitments import unpack_scores, unpack_seats
from commonweal.protocol.events import (
    ChainEvent,
    CommitteeDrawn,
    ModelAttested,
    RoundFinalised,
)
from commonweal.protocol.merkle import compute_committee_word, compute_root, compute_verdict_leaf
from commonweal.protocol.rewards import compute_pools
from commonweal.protocol.types import HASHES_KEPT, Address, JobParameters, Wei


class NotAppealable(Conflict):
    code = "not-appealable"


class AppealStep(StrEnum):
    DRAW = "draw"
    ADVANCE = "advance"


class Stage(IntEnum):
    NONE = 0
    DRAWING = 1  # waits for the block that seeds the jury's draw
    COMMIT = 2
    REVEAL = 3
    DECIDED = 4  # may be appealed once more until `ends_at`
    CLOSED = 5


@dataclass(frozen=True, slots=True)
class Case:
    """Field for field the contract's struct of the same name; bitmaps have a bit per seat."""

    job: int
    round: int
    slash: int  # 0: the case is about the round's model
    member: int  # who was slashed
    stage: Stage
    level: int  # 1 or 2
    first_overturned: bool
    overturned: bool  # what stands
    ends_at: int
    seed_block: int
    bond: Wei  # of level 1; level 2 costs twice as much
    first: Address  # appellant of level 1
    second: Address
    committee: int
    reveals: int
    committed: int
    revealed: int
    overturning: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a round's verdict root holds beside its verdicts, as `Appeals` takes it."""

    committee: int
    finalised_at: int
    reveals: int
    tree_root: bytes

    @property
    def argument(self) -> tuple[int, int, int, bytes]:
        return self.committee, self.finalised_at, self.reveals, self.tree_root


NO_SETTLEMENT = Settlement(0, 0, 0, bytes(32))  # for a slash that no committee had a part in


def build_settlement(events: Iterable[ChainEvent], job: int, round_: int) -> Settlement:
    """From the job's events. Raises NotAppealable for a round that was not finalised."""
    mine = [each for each in events if getattr(each, "round", None) == round_]
    finalised = next((each for each in mine if isinstance(each, RoundFinalised)), None)
    drawn = next((each for each in mine if isinstance(each, CommitteeDrawn)), None)
    if finalised is None or drawn is None:
        message = f"round {round_} of job {job} was not finalised"
        raise NotAppealable(message, job=job, round=round_)
    record = collect_round(mine, job, round_)
    scores = zip(sorted(record.digests.items()), unpack_scores(record.scores), strict=True)
    leaves = [compute_verdict_leaf(member, digest, score) for (member, digest), score in scores]
    attested = (each for each in mine if isinstance(each, ModelAttested))
    agreed = (each for each in attested if each.model_digest == finalised.model_digest)
    seats = {seat for each in agreed for seat in unpack_seats(each.seats)}
    word = compute_committee_word(drawn.members, seats)
    return Settlement(word, finalised.ref.timestamp, len(leaves), compute_root(leaves))


def compute_jury_size(committee_size: int, level: int) -> int:
    """2n + 1 seats at level 1, 4n + 3 at level 2."""
    return ((committee_size + 1) << level) - 1


def decide(seats: int, votes: int, overturning: int) -> bool | None:
    """Whether the jury overturns; None if not more than half of its seats voted."""
    if 2 * votes <= seats:
        return None
    return 2 * overturning > votes  # a tie upholds


def compute_missing_pay(parameters: JobParameters, reveals: int, committee: int) -> Wei:
    """What each of a `committee` owes a trainer whose update it wrongly called invalid."""
    pool = compute_pools(parameters).trainers
    return Wei(pool // max(reveals, parameters.min_trainers) // committee)


def due_step(case: Case, *, now: int, block_number: int) -> AppealStep | None:
    """What anybody may do now: `now` in seconds, `block_number` the head's."""
    match case.stage:
        case Stage.NONE | Stage.CLOSED:
            return None
        case Stage.DRAWING:
            age = block_number - case.seed_block
            if now >= case.ends_at or age >= HASHES_KEPT:
                return AppealStep.ADVANCE
            return AppealStep.DRAW if age >= 0 else None
        case _:
            return AppealStep.ADVANCE if now >= case.ends_at else None
