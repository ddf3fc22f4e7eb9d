"""Which transition of a job anybody may make now. Pure: the caller brings view, clock and block.

Says what is due, not who does it: coordinator and direct agents take the same decision, and all
but the first of them find it done.
"""

from __future__ import annotations

from enum import StrEnum

from commonweal.protocol.batches import (
    ContractCall,
    RoundRecord,
    advance_job,
    draw_committee,
    finalise_round,
    tally_ballots,
)
from commonweal.protocol.types import (
    ABANDONED_AFTER,
    HASHES_KEPT,
    ZERO_DIGEST,
    Job,
    JobState,
    Phase,
    Round,
)

_DRAW_WAITS = (
    64  # blocks, to be sent with the last reveals; whoever holds one back gets no other seed
)


class Transition(StrEnum):
    ADVANCE = "advance"
    DRAW = "draw"
    TALLY = "tally"  # revealBallots with what is on chain
    FINALISE = "finalise"


def due_transition(
    round_: Round, job: Job, *, now: int, block_number: int, record: RoundRecord | None = None
) -> Transition | None:
    """`now`: seconds, not before the head's timestamp; `block_number`: the head's.

    `record` is needed only to tally: without it a set of ballots that is complete on chain but
    not tallied waits for its deadline.
    """
    match round_.phase:
        case Phase.NONE:
            return Transition.ADVANCE if is_ready(job, now=now) else None
        case Phase.COMMIT:
            rules = job.parameters
            done = round_.commits >= max(round_.expected, rules.min_trainers)
            return Transition.ADVANCE if done or is_over(round_, now=now) else None
        case Phase.REVEAL:
            least = job.parameters.min_trainers
            return _due_in_reveal(round_, least, now=now, block_number=block_number)
        case Phase.BALLOT_COMMIT:
            done = len(round_.ballots_committed) == len(round_.committee) > 0
            return Transition.ADVANCE if done or is_over(round_, now=now) else None
        case Phase.BALLOT_REVEAL:
            return _due_in_ballot_reveal(round_, record, now=now)
        case Phase.ATTEST:
            if round_.agreed_model != ZERO_DIGEST:
                return Transition.FINALISE
            return Transition.ADVANCE if is_over(round_, now=now) else None


def is_ready(job: Job, *, now: int) -> bool:
    """Recruited enough to start, as `JobBoard.isReady` sees it."""
    rules = job.parameters
    if job.state is not JobState.RECRUITING or job.active_trainers < rules.min_trainers:
        return False
    full = job.active_trainers >= rules.max_trainers or now >= rules.recruit_until
    return full and job.active_validators >= rules.committee_size


def is_over(round_: Round, *, now: int) -> bool:
    return now >= round_.ends_at


def transition_call(
    transition: Transition, job: int, record: RoundRecord, header: bytes = b""
) -> ContractCall:
    """`record` must be of the job's current round, `header` of its seed block, to draw."""
    match transition:
        case Transition.ADVANCE:
            return advance_job(job)
        case Transition.DRAW:
            return draw_committee(job, header)
        case Transition.TALLY:
            return tally_ballots(record)
        case Transition.FINALISE:
            return finalise_round(record)


def _due_in_reveal(
    round_: Round, min_trainers: int, *, now: int, block_number: int
) -> Transition | None:
    over = is_over(round_, now=now)
    if round_.committee:
        return Transition.ADVANCE if over else None
    abandoned = now >= round_.ends_at + ABANDONED_AFTER
    if abandoned or (over and round_.reveals < min_trainers):
        return Transition.ADVANCE
    age = block_number - round_.seed_block
    waits = not over and round_.reveals < round_.commits and age < _DRAW_WAITS
    if age < 0 or waits:
        return None
    # A transaction sent now runs in the next block, which sees the hashes of 256 before it.
    return Transition.ADVANCE if age >= HASHES_KEPT else Transition.DRAW


def _due_in_ballot_reveal(
    round_: Round, record: RoundRecord | None, *, now: int
) -> Transition | None:
    complete = round_.ballots_committed == round_.ballots_revealed
    quorum = 2 * len(round_.ballots_revealed) > round_.committee_size
    known = record is not None and round_.ballots_revealed <= record.ballots.keys()
    if not complete and not is_over(round_, now=now):
        return None
    if quorum:
        return Transition.TALLY if known else None
    return Transition.ADVANCE if is_over(round_, now=now) else None
