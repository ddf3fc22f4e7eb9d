"""Which transition of a job anybody may make now. Pure: the caller brings view, clock and block.

Says what is due, not who does it: coordinator and direct agents take the same decision, and all
but the first of them find it done.
"""

from __future__ import annotations

from enum import StrEnum

from commonweal.protocol.batches import ContractCall, RoundRecord
from commonweal.protocol.types import Job, Round


class Transition(StrEnum):
    ADVANCE = "advance"
    TALLY = "tally"  # revealBallots with what is on chain
    FINALISE = "finalise"


def due_transition(
    round_: Round, job: Job, *, now: int, block_number: int, record: RoundRecord | None = None
) -> Transition | None:
    """`now`: seconds, not before the head's timestamp; `block_number`: the head's.

    `record` is needed only to tally: without it a set of ballots that is complete on chain but
    not tallied waits for its deadline.
    """
    raise NotImplementedError


def transition_call(transition: Transition, job: int, record: RoundRecord) -> ContractCall:
    """`record` must be of the job's current round."""
    raise NotImplementedError
