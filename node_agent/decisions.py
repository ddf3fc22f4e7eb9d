"""What to do next: a pure function of what the chain shows, what was signed before, and the time.

No IO, no clock. Doing it, and doing it again after a crash, is the agent's business: as long as the
chain does not show a message that the journal holds, the decision is to send that one again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from commonweal.protocol.commitments import unpack_scores
from commonweal.protocol.messages import (
    BallotRevealMessage,
    UpdateCommitmentMessage,
    UpdateRevealMessage,
)
from commonweal.protocol.rewards import compute_pools
from commonweal.protocol.types import Address, Job, JobState, Phase, Provider, Role, Round, Wei
from node_agent.journal import SignedMessage, Slot, SlotEntry
from node_agent.view import JobView, NodeView

TOO_MUCH_STAKE = "asks for more stake than one job may lock: see jobs.max_stake_per_job"
_NOTHING = Wei(0)
Entries = Mapping[tuple[int, int, Slot], SlotEntry]


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator allows. `refused` are jobs this node found that it cannot serve."""

    roles: Role
    stake_per_job: Wei
    max_stake_per_job: Wei | None = None  # None: half of the provider's stake
    allowed: frozenset[int] | None = None  # None: all
    refused: frozenset[int] = field(default_factory=frozenset)
    requesters: frozenset[Address] | None = None  # None: all
    min_pay_per_round: Wei = _NOTHING  # of a trainer, if all places are taken
    hours: tuple[int, int] | None = None  # of the day, UTC: from, until (may pass midnight)

    def admits(self, job: int) -> bool:
        return job not in self.refused and (self.allowed is None or job in self.allowed)

    def find_objection(self, job: Job, now: int) -> str | None:
        """Why this job is not joined at this time, though it could be. `now`: seconds since 1970.

        Hours close the door only: who is a member and does not work is slashed.
        """
        if not self.admits(job.job):
            return "not admitted by the node's policy"
        if self.requesters is not None and job.requester not in self.requesters:
            return "not a requester this node works for: see jobs.requesters"
        parameters = job.parameters
        if compute_pools(parameters).trainers // parameters.max_trainers < self.min_pay_per_round:
            return "pays too little: see jobs.min_pay_per_round"
        if self.hours is not None and not _is_within(self.hours, now):
            return "outside of the hours in which this node joins jobs: see jobs.hours"
        return None

    def limit_stake(self, account: Provider) -> Wei:
        """What one job may lock, and so slash: by default it never takes all of the stake."""
        if self.max_stake_per_job is not None:
            return self.max_stake_per_job
        return Wei((account.free + account.locked) // 2)


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do for this job now; `reason` is for the log and the tests."""

    job: int
    reason: str


@dataclass(frozen=True, slots=True)
class Join:
    job: int
    roles: Role
    stake: Wei
    nonce: int


@dataclass(frozen=True, slots=True)
class TrainAndCommit:
    job: int
    round: int
    member: int
    ends_at: int


@dataclass(frozen=True, slots=True)
class ScoreAndCommitBallot:
    job: int
    round: int
    member: int
    seat: int
    ends_at: int


@dataclass(frozen=True, slots=True)
class ComputeAndAttestModel:
    job: int
    round: int
    seat: int
    ends_at: int


@dataclass(frozen=True, slots=True)
class SendSigned:
    """Send (again) what the journal holds and the chain does not show."""

    message: SignedMessage
    ends_at: int

    @property
    def job(self) -> int:
        return self.message.job


@dataclass(frozen=True, slots=True)
class RevealUpdate:
    """Publish the content, then open the commitment."""

    message: UpdateRevealMessage
    ends_at: int

    @property
    def job(self) -> int:
        return self.message.job


@dataclass(frozen=True, slots=True)
class RevealBallot:
    message: BallotRevealMessage
    ends_at: int

    @property
    def job(self) -> int:
        return self.message.job


Action = (
    Wait
    | Join
    | TrainAndCommit
    | ScoreAndCommitBallot
    | ComputeAndAttestModel
    | SendSigned
    | RevealUpdate
    | RevealBallot
)


def decide(view: NodeView, entries: Entries, now: int, policy: Policy) -> tuple[Action, ...]:
    """One action per job, those with the nearest deadline first. `now`: chain time, seconds."""
    actions = [decide_job(view, job, entries, now, policy) for job in view.jobs]
    return tuple(sorted(actions, key=_urgency))


def decide_job(view: NodeView, job: JobView, entries: Entries, now: int, policy: Policy) -> Action:
    number = job.job.job
    if job.job.state.is_over:
        return Wait(number, "over")
    if job.member is None:
        return _decide_join(view, job, now, policy)
    if job.round.phase is Phase.NONE:
        return Wait(number, "no round in flight")
    if now >= job.round.ends_at:
        return Wait(number, "the phase is over")
    match job.round.phase:
        case Phase.COMMIT:
            return _decide_commit(job, entries)
        case Phase.REVEAL:
            return _decide_reveal(job, entries)
        case Phase.BALLOT_COMMIT:
            return _decide_ballot(job, entries)
        case Phase.BALLOT_REVEAL:
            return _decide_ballot_reveal(job, entries)
        case _:
            return _decide_attestation(job, entries)


def is_joinable(job: JobView) -> bool:
    return job.job.state in (JobState.RECRUITING, JobState.RUNNING)


def _is_within(hours: tuple[int, int], now: int) -> bool:
    start, end = hours
    hour = now // 3600 % 24
    return start <= hour < end if start < end else hour >= start or hour < end


def _decide_join(view: NodeView, job: JobView, now: int, policy: Policy) -> Action:
    number, parameters = job.job.job, job.job.parameters
    roles = policy.roles & view.account.roles
    if job.job.active_trainers >= parameters.max_trainers:
        roles &= ~Role.TRAINER
    stake = Wei(max(parameters.min_stake, policy.stake_per_job))
    if objection := policy.find_objection(job.job, now):
        return Wait(number, objection)
    if not is_joinable(job):
        return Wait(number, "takes no members")
    if view.account.jailed_until:
        return Wait(number, "jailed")
    if not roles:
        return Wait(number, "no role left to take")
    if view.account.free < stake:
        return Wait(number, "too little free stake")
    if parameters.min_stake > policy.limit_stake(view.account):
        return Wait(number, TOO_MUCH_STAKE)
    if _is_draw_pending(job.round):
        return Wait(number, "membership is closed until the draw")
    return Join(number, roles, stake, job.nonce)


def _is_draw_pending(round_: Round) -> bool:
    return round_.phase is Phase.REVEAL and not round_.committee


def _decide_commit(job: JobView, entries: Entries) -> Action:
    round_, member = job.round, _member(job)
    if member in round_.committed:
        return Wait(round_.job, "committed")
    if not job.is_trainer:
        return Wait(round_.job, "not a trainer")
    if entry := entries.get((round_.job, round_.round, Slot.UPDATE)):
        return SendSigned(entry.message, round_.ends_at)
    return TrainAndCommit(round_.job, round_.round, member, round_.ends_at)


def _decide_reveal(job: JobView, entries: Entries) -> Action:
    round_, member = job.round, _member(job)
    if member not in round_.committed:
        return Wait(round_.job, "not committed")
    if member in round_.revealed:
        return Wait(round_.job, "revealed")
    entry = entries.get((round_.job, round_.round, Slot.UPDATE))
    if entry is None:
        return Wait(round_.job, "committed by another journal")
    return RevealUpdate(open_update(entry), round_.ends_at)


def _decide_ballot(job: JobView, entries: Entries) -> Action:
    round_, seat = job.round, job.seat
    if seat is None:
        return Wait(round_.job, "no seat")
    if seat in round_.ballots_committed:
        return Wait(round_.job, "ballot committed")
    if entry := entries.get((round_.job, round_.round, Slot.BALLOT)):
        return SendSigned(_seated(entry, seat), round_.ends_at)
    return ScoreAndCommitBallot(round_.job, round_.round, _member(job), seat, round_.ends_at)


def _decide_ballot_reveal(job: JobView, entries: Entries) -> Action:
    round_, seat = job.round, job.seat
    if seat is None or seat not in round_.ballots_committed:
        return Wait(round_.job, "no ballot to reveal")
    if seat in round_.ballots_revealed:
        return Wait(round_.job, "ballot revealed")
    entry = entries.get((round_.job, round_.round, Slot.BALLOT))
    if entry is None:
        return Wait(round_.job, "committed by another journal")
    return RevealBallot(open_ballot(entry, seat), round_.ends_at)


def _decide_attestation(job: JobView, entries: Entries) -> Action:
    round_, seat = job.round, job.seat
    if seat is None:
        return Wait(round_.job, "no seat")
    if seat in round_.attested:
        return Wait(round_.job, "attested")
    if entry := entries.get((round_.job, round_.round, Slot.ATTESTATION)):
        return SendSigned(_seated(entry, seat), round_.ends_at)
    return ComputeAndAttestModel(round_.job, round_.round, seat, round_.ends_at)


def open_update(entry: SlotEntry) -> UpdateRevealMessage:
    assert isinstance(entry.message, UpdateCommitmentMessage)
    return UpdateRevealMessage(
        job=entry.job,
        round=entry.round,
        member=entry.message.member,
        digest="0x" + entry.content.hex(),
        salt="0x" + entry.salt.hex(),
    )


def open_ballot(entry: SlotEntry, seat: int) -> BallotRevealMessage:
    return BallotRevealMessage(
        job=entry.job,
        round=entry.round,
        seat=seat,
        scores=tuple(unpack_scores(entry.content)),
        salt="0x" + entry.salt.hex(),
    )


def _seated(entry: SlotEntry, seat: int) -> SignedMessage:
    """No signature covers the seat: after a reorganisation the member may sit on another."""
    return entry.message.model_copy(update={"seat": seat})


def _member(job: JobView) -> int:
    assert job.member is not None
    return job.member.member


def _urgency(action: Action) -> tuple[int, int]:
    ends_at = getattr(action, "ends_at", None)
    return (2**63 if ends_at is None else ends_at, action.job)
