"""What a node's operator sees of its work: the state of the live view, pure. No drawing here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from commonweal.learning.training import TrainingProgress
from commonweal.protocol.batches import RoundRecord
from commonweal.protocol.commitments import unpack_scores
from commonweal.protocol.types import Provider, Verdict, Wei
from node_agent.decisions import (
    Action,
    ComputeAndAttestModel,
    Join,
    RevealBallot,
    RevealUpdate,
    ScoreAndCommitBallot,
    SendSigned,
    TrainAndCommit,
    Wait,
)
from node_agent.view import JobView, NodeView

KEPT_RESULTS = 4
RecordOf = Callable[[int, int], RoundRecord]  # of job and round
_NOTHING = Wei(0)


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What a round brought this node: its update's verdict, and its pay as trainer and judge."""

    round: int
    verdict: str
    paid: Wei


@dataclass(frozen=True, slots=True)
class JobRow:
    seen: JobView
    doing: str
    results: tuple[RoundResult, ...] = ()  # the latest, oldest first


@dataclass(frozen=True, slots=True)
class Dashboard:
    """`earned`: since the node was started; `progress`: of the training that runs, if one does."""

    block: int | None = None
    account: Provider | None = None
    jobs: Mapping[int, JobRow] = field(default_factory=dict)
    earned: Wei = _NOTHING
    progress: TrainingProgress | None = None

    @property
    def claimable(self) -> Wei:
        members = (row.seen.member for row in self.jobs.values())
        return Wei(sum(member.credit for member in members if member is not None))


def observe(
    before: Dashboard, view: NodeView, actions: Sequence[Action], record_of: RecordOf
) -> Dashboard:
    """The dashboard after one look at the chain; `record_of` is asked for rounds just ended."""
    doing = {action.job: describe_action(action) for action in actions}
    jobs, earned = dict(before.jobs), int(before.earned)
    for seen in view.jobs:
        number = seen.job.job
        if seen.member is None and seen.job.state.is_over:
            jobs.pop(number, None)
            continue
        known = jobs.get(number)
        result = None if known is None else _find_result(known.seen, seen, record_of)
        results = () if known is None else known.results
        if result is not None:
            results = (*results, result)[-KEPT_RESULTS:]
            earned += result.paid
        jobs[number] = JobRow(seen, doing.get(number, ""), results)
    return Dashboard(view.block.number, view.account, jobs, Wei(earned))


def note_progress(before: Dashboard, progress: TrainingProgress) -> Dashboard:
    return replace(before, progress=progress)


def describe_action(action: Action) -> str:
    match action:
        case Wait():
            return action.reason
        case Join():
            return "joining"
        case TrainAndCommit():
            return "training"
        case ScoreAndCommitBallot():
            return "judging updates"
        case ComputeAndAttestModel():
            return "computing the model"
        case SendSigned():
            return f"sending its {action.message.kind.replace('-', ' ')}"
        case RevealUpdate():
            return "revealing its update"
        case RevealBallot():
            return "revealing its ballot"
        case _:
            assert_never(action)


def _find_result(before: JobView, now: JobView, record_of: RecordOf) -> RoundResult | None:
    """None while the round that was seen last goes on, and for jobs of others."""
    if before.member is None or now.member is None or not before.round.phase:
        return None
    if before.round.round == now.round.round and now.round.phase:
        return None
    paid = Wei(max(0, now.member.credit - before.member.credit))  # a claim may have emptied it
    if now.job.failed_rounds > before.job.failed_rounds:
        return RoundResult(before.round.round, "round failed", paid)
    record = record_of(before.round.job, before.round.round)
    return RoundResult(before.round.round, describe_verdict(record, now.member.member), paid)


def describe_verdict(record: RoundRecord, member: int) -> str:
    revealed = sorted(record.digests)
    scores = unpack_scores(record.scores)
    if member not in record.digests or len(scores) != len(revealed):
        return "no update"
    score = scores[revealed.index(member)]
    verdict = Verdict.of(score)
    name = verdict.name.lower()
    return f"{name}, score {score}" if verdict is Verdict.VERIFIED else name
