"""Rounds and faults, modelled on top of the money. Scores and splits come from commonweal.protocol,
which is compared with the contracts elsewhere; phases, deadlines, failures and faults do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from money_model import Job, MoneyModel, Refused, require

from commonweal.protocol.committee import compute_seed, compute_weight, draw_committee
from commonweal.protocol.rewards import split_round
from commonweal.protocol.stakes import compute_slash, is_missed_duty
from commonweal.protocol.types import (
    ABANDONED_AFTER,
    SCORE_INVALID,
    SCORE_UNAVAILABLE,
    SEED_DELAY,
    Address,
    Fault,
    JobState,
    Phase,
    ProtocolParameters,
    Role,
    Score,
    Verdict,
    Wei,
)
from commonweal.protocol.verdicts import Tally, tally

ZERO = "0x" + "00" * 20
_WINDOWS = {
    Phase.COMMIT: "commit_window",
    Phase.REVEAL: "reveal_window",
    Phase.BALLOT_COMMIT: "ballot_commit_window",
    Phase.BALLOT_REVEAL: "ballot_reveal_window",
    Phase.ATTEST: "attest_window",
}


@dataclass(frozen=True)
class Tick:
    """The block that a transaction would be mined in, by whom, and the random numbers before it."""

    now: int
    block: int
    sender: str
    randao_of: Callable[[int], bytes]


@dataclass
class RoundState:
    """The round in flight."""

    number: int = 0
    phase: Phase = Phase.NONE
    ends_at: int = 0
    seed_block: int = 0
    batches: list[list[int]] = field(default_factory=list)
    revealed: set[int] = field(default_factory=set)
    committee: tuple[int, ...] = ()
    sealed: set[int] = field(default_factory=set)  # seats
    opened: dict[int, Sequence[Score]] = field(default_factory=dict)  # ballots by seat
    attested: dict[int, bytes] = field(default_factory=dict)
    tallied: Tally | None = None
    agreed: bytes = b""  # the model that more than two thirds attested
    idle: set[int] = field(default_factory=set)  # did not commit last time

    @property
    def committed(self) -> set[int]:
        return {member for batch in self.batches for member in batch}


@dataclass
class Past:
    """What is left of a round that ended, for faults."""

    unrevealed: set[int] = field(default_factory=set)
    committee: tuple[int, ...] = ()
    absent: set[int] = field(default_factory=set)  # seats
    verdicts: dict[int, Score] = field(default_factory=dict)  # by member, if it was finalised
    attesters: set[int] = field(default_factory=set)  # seats that signed the final model
    finalised_at: int = 0


class ProtocolModel(MoneyModel):
    def __init__(
        self, rules: ProtocolParameters, wallets: dict[str, int], rounds_contract: Address
    ) -> None:
        super().__init__(rules, wallets)
        self._contract = rounds_contract
        self.rounds: dict[int, RoundState] = {}
        self.past: dict[tuple[int, int], Past] = {}
        self.proven: set[tuple[int, int, int, Fault]] = set()

    def round(self, job: int) -> RoundState:
        return self.rounds.setdefault(job, RoundState())

    def is_draw_pending(self, job: int) -> bool:
        its = self.round(job)
        return its.phase is Phase.REVEAL and not its.committee

    def is_engaged(self, job: int, member: int) -> bool:
        its = self.round(job)
        in_flight = its.phase is not Phase.NONE
        return in_flight and (member in its.committed or member in its.committee)

    # Phases

    def advance(self, job: int, tick: Tick) -> None:
        its, over = self.round(job), tick.now >= self.round(job).ends_at
        if its.phase is Phase.NONE:
            require(self._job(job).is_ready(tick.now), "JobNotReady")
            self._job(job).state = JobState.RUNNING
            self._open(job, tick)
        elif its.phase is Phase.COMMIT:
            self._advance_commit(job, tick, over)
        elif its.phase is Phase.REVEAL:
            self._advance_reveal(job, tick, over)
        else:
            self._advance_committee(job, tick, over)

    def commit(self, job: int, members: list[int], tick: Tick) -> None:
        its = self._in_time(job, Phase.COMMIT, tick)
        its.batches.append(members)
        if self._is_commit_complete(job):
            self._close_commit(job, tick)

    def reveal(self, job: int, batch: int, members: set[int], tick: Tick) -> None:
        its = self._in_time(job, Phase.REVEAL, tick)
        assert members <= set(its.batches[batch]) - its.revealed
        its.revealed |= members
        self._close_reveal_if_complete(job, tick)

    def draw(self, job: int, tick: Tick) -> None:
        its = self.round(job)
        assert its.phase is Phase.REVEAL
        require(not its.committee, "AlreadyDrawn")
        require(tick.block > its.seed_block, "SeedPending")
        its.committee = self._drawn(job, tick.randao_of(its.seed_block))
        if 3 * len(its.committee) <= 2 * self._job(job).parameters.committee_size:
            its.committee = ()
            return self._fail(job, tick)
        return self._close_reveal_if_complete(job, tick)

    def seal_ballots(self, job: int, seats: set[int], tick: Tick) -> None:
        its = self._in_time(job, Phase.BALLOT_COMMIT, tick)
        its.sealed |= seats
        if len(its.sealed) == len(its.committee):
            self._start(job, Phase.BALLOT_REVEAL, tick)

    def open_ballots(self, job: int, ballots: Mapping[int, Sequence[Score]], tick: Tick) -> None:
        """All that were opened before are given again."""
        its, over = self.round(job), tick.now >= self.round(job).ends_at
        fresh = ballots.keys() - its.opened.keys()
        require(not (fresh and over), "PhaseOver")
        complete = set(ballots) == (set(its.opened) if over else its.sealed)
        if complete and self._is_quorum(job, len(ballots)):
            its.opened.update(ballots)
            return self._count(job, tick)
        require(not over, "PhaseOver")
        its.opened.update(ballots)
        return None

    def attest(self, job: int, seats: set[int], model: bytes, tick: Tick) -> None:
        its = self._in_time(job, Phase.ATTEST, tick)
        its.attested.update(dict.fromkeys(seats, model))
        votes = list(its.attested.values()).count(model)
        if not its.agreed and 3 * votes > 2 * self._job(job).parameters.committee_size:
            its.agreed = model

    def finalise(self, job: int, tick: Tick) -> None:
        its, record = self.round(job), self._job(job)
        require(its.agreed != b"", "NoModelYet")
        assert its.tallied is not None
        revealed, terms = sorted(its.revealed), record.parameters
        split = split_round(terms, Wei(record.quantum), revealed, its.tallied, its.committee)
        for member, units in split.payments:
            record.members[member].units += units
        if split.fee:
            self.fees[self._fee_recipient(record, its, tick)] += split.fee
        record.escrow -= split.spent
        record.finalised += 1
        past = self._note_absent(job, tick)
        past.verdicts = dict(zip(revealed, its.tallied.scores, strict=True))
        past.attesters = {seat for seat, model in its.attested.items() if model == its.agreed}
        past.finalised_at = tick.now
        self._next(job, tick)

    # Faults

    def prove(self, fault: Fault, job: int, round_: int, place: int, tick: Tick) -> None:
        """`place`: a member, for ABSENT a seat."""
        past = self.past.get((job, round_), Past())
        member = past.committee[place] if fault is Fault.ABSENT else place
        found = {
            Fault.UNREVEALED: member in past.unrevealed,
            Fault.INVALID_UPDATE: past.verdicts.get(member) == SCORE_INVALID,
            Fault.UNAVAILABLE_UPDATE: past.verdicts.get(member) == SCORE_UNAVAILABLE,
            Fault.ABSENT: place in past.absent,
            Fault.EQUIVOCATION: 1 <= round_ <= self.round(job).number,
        }
        require(found[fault], "FaultNotProven")
        require((job, round_, member, fault) not in self.proven, "FaultAlreadyProven")
        self.proven.add((job, round_, member, fault))
        its = self._job(job).members[member]
        amount = compute_slash(self.rules, fault, Wei(its.stake))
        self.slash(its.provider, amount, fault, tick.sender, tick.now)
        if is_missed_duty(fault):
            self.miss_duty(its.provider, tick.now)

    def is_proven(self, fault: Fault, job: int, round_: int, place: int) -> bool:
        past = self.past[job, round_]
        member = past.committee[place] if fault is Fault.ABSENT else place
        return (job, round_, member, fault) in self.proven

    # How phases end

    def _in_time(self, job: int, phase: Phase, tick: Tick) -> RoundState:
        its = self.round(job)
        assert its.phase is phase
        require(tick.now < its.ends_at, "PhaseOver")
        return its

    def _advance_commit(self, job: int, tick: Tick, over: bool) -> None:
        its = self.round(job)
        if not over and not self._is_commit_complete(job):
            raise Refused("NothingToAdvance")
        if len(its.committed) >= self._job(job).parameters.min_trainers:
            return self._close_commit(job, tick)
        self._note_idle(job)
        return self._fail(job, tick)

    def _is_commit_complete(self, job: int) -> bool:
        its, record = self.round(job), self._job(job)
        active, done = set(record.active(Role.TRAINER)), its.committed
        enough = len(done) >= record.parameters.min_trainers and 2 * len(done) > len(active)
        return enough and active - its.idle <= done

    def _close_commit(self, job: int, tick: Tick) -> None:
        self._note_idle(job)
        self._start(job, Phase.REVEAL, tick)
        self.round(job).seed_block = tick.block + SEED_DELAY

    def _note_idle(self, job: int) -> None:
        its = self.round(job)
        its.idle = set(self._job(job).active(Role.TRAINER)) - its.committed

    def _advance_reveal(self, job: int, tick: Tick, over: bool) -> None:
        its = self.round(job)
        if over and len(its.revealed) < self._job(job).parameters.min_trainers:
            return self._fail(job, tick)
        if not its.committee:
            if tick.now >= its.ends_at + ABANDONED_AFTER:
                return self._fail(job, tick)
            require(tick.block > its.seed_block, "SeedPending")
            raise Refused("DrawDue")  # the tests stay within 256 blocks
        require(over, "NothingToAdvance")
        return self._close_reveal(job, tick)

    def _drawn(self, job: int, randao: bytes) -> tuple[int, ...]:
        record = self._job(job)
        seed = compute_seed(randao, self._contract, job, self.round(job).number)
        members = record.active(Role.VALIDATOR)
        weights = [(at, compute_weight(Wei(record.members[at].stake))) for at in members]
        return draw_committee(weights, record.parameters.committee_size, seed)

    def _close_reveal_if_complete(self, job: int, tick: Tick) -> None:
        its = self.round(job)
        if its.committee and its.revealed == its.committed:
            self._close_reveal(job, tick)

    def _close_reveal(self, job: int, tick: Tick) -> None:
        self._note_unrevealed(job)
        self._start(job, Phase.BALLOT_COMMIT, tick)

    def _note_unrevealed(self, job: int) -> None:
        its = self.round(job)
        self._past(job).unrevealed = its.committed - its.revealed

    def _advance_committee(self, job: int, tick: Tick, over: bool) -> None:
        its = self.round(job)
        require(over, "NothingToAdvance")
        abandoned = tick.now >= its.ends_at + ABANDONED_AFTER
        if its.phase is Phase.BALLOT_COMMIT:
            if self._is_quorum(job, len(its.sealed)):
                return self._start(job, Phase.BALLOT_REVEAL, tick)
            return self._fail(job, tick)
        stuck = its.agreed != b"" or (
            its.phase is Phase.BALLOT_REVEAL and self._is_quorum(job, len(its.opened))
        )
        require(abandoned or not stuck, "NothingToAdvance")
        return self._fail(job, tick)

    def _is_quorum(self, job: int, seats: int) -> bool:
        return 2 * seats > self._job(job).parameters.committee_size

    def _count(self, job: int, tick: Tick) -> None:
        its = self.round(job)
        its.tallied = tally(sorted(its.revealed), its.committee, its.opened)
        if Verdict.VERIFIED in its.tallied.verdicts:
            self._start(job, Phase.ATTEST, tick)
        else:
            self._fail(job, tick)

    def _start(self, job: int, phase: Phase, tick: Tick) -> None:
        its = self.round(job)
        its.phase = phase
        its.ends_at = tick.now + getattr(self._job(job).parameters, _WINDOWS[phase])

    def _fail(self, job: int, tick: Tick) -> None:
        its = self.round(job)
        if its.phase is Phase.REVEAL and tick.now >= its.ends_at:
            self._note_unrevealed(job)
        self._note_absent(job, tick)
        self._job(job).failed += 1
        self._next(job, tick)

    def _note_absent(self, job: int, tick: Tick) -> Past:
        its, past = self.round(job), self._past(job)
        everybody, over = set(range(len(its.committee))), tick.now >= its.ends_at
        past.committee = its.committee
        if its.phase is Phase.BALLOT_COMMIT:
            past.absent = everybody - its.sealed
        elif its.phase is Phase.BALLOT_REVEAL:
            past.absent = everybody - its.opened.keys()
        elif its.phase is Phase.ATTEST:
            past.absent = everybody - its.opened.keys()
            past.absent |= everybody - its.attested.keys() if over else set()
        return past

    def _next(self, job: int, tick: Tick) -> None:
        record, its = self._job(job), self.round(job)
        if record.finalised >= record.parameters.rounds:
            record.state = JobState.COMPLETED
        elif record.failed > record.parameters.max_failed_rounds:
            record.state = JobState.EXHAUSTED
        elif record.state is JobState.CANCELLING:
            record.state = JobState.CANCELLED
        else:
            return self._open(job, tick)
        record.ended_at = tick.now
        self.rounds[job] = RoundState(number=its.number)
        return None

    def _open(self, job: int, tick: Tick) -> None:
        before = self.round(job)
        self.rounds[job] = RoundState(number=before.number + 1, idle=before.idle)
        self._start(job, Phase.COMMIT, tick)

    def _past(self, job: int) -> Past:
        return self.past.setdefault((job, self.round(job).number), Past())

    def _fee_recipient(self, record: Job, its: RoundState, tick: Tick) -> str:
        tallied_at = its.ends_at - record.parameters.attest_window
        late = tick.now >= tallied_at + self.rules.fee_grace
        nobody = record.parameters.coordinator == ZERO
        return tick.sender if nobody or late else record.parameters.coordinator
