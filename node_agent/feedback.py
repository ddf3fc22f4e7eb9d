"""Error feedback across rounds: what an encoding left out of an update goes into the next one.

Only an update that went into the model did send its part. So each residual is kept with the one it
grew from until the fate of its update is known: applied, and it counts; lost, and the earlier one
does, as if the round had not been; unknown, and none does, for nothing may be sent twice.
"""

from __future__ import annotations

from enum import Enum, auto

from commonweal.protocol.batches import RoundRecord
from commonweal.protocol.commitments import unpack_scores
from commonweal.protocol.types import Digest, Verdict
from node_agent.chainlog import ChainLog
from node_agent.journal import Journal, Slot
from node_agent.view import JobView


class Fate(Enum):
    APPLIED = auto()
    LOST = auto()
    UNKNOWN = auto()


def judge_fate(record: RoundRecord, member: int, digest: Digest, model: Digest) -> Fate:
    """What became of a member's update; `model`: from which a later round starts."""
    if record.parent_model is None:
        return Fate.UNKNOWN
    if record.parent_model == model or record.digests.get(member) != digest:
        return Fate.LOST  # the round failed, or nobody ever saw the update
    if not record.scores:
        return Fate.UNKNOWN
    scores = dict(zip(sorted(record.digests), unpack_scores(record.scores), strict=True))
    return Fate.APPLIED if Verdict.of(scores[member]) is Verdict.VERIFIED else Fate.LOST


def choose_base(journal: Journal, chain_log: ChainLog, job: JobView, at: int) -> int | None:
    """The earlier round whose residual the update of this round starts with, as of block `at`."""
    kept = [n for n in journal.residual_rounds(job.round.job) if n < job.round.round]
    if not kept:
        return None
    last = kept[-1]
    entry = journal.entry(job.round.job, last, Slot.UPDATE)
    if entry is None or entry.message.kind != "update-commitment":
        return None
    record = chain_log.record(job.round.job, last, at)
    fate = judge_fate(record, entry.message.member, Digest(entry.content), job.round.parent_model)
    if fate is Fate.LOST:
        kept.pop()
    return kept[-1] if kept and fate is not Fate.UNKNOWN else None
