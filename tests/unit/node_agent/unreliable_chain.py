"""The contracts as far as rounds go, for tests: calls in, events out, folded by `transitions`.

Its rules are written down here once more, shorter than the contracts and apart from what is tested.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

from agent_samples import MEMBERS, PARAMETERS, make_job

from commonweal.adapters.chain import Block
from commonweal.protocol import events as ev
from commonweal.protocol.batches import ContractCall, RoundRecord, collect_round
from commonweal.protocol.commitments import (
    pack_entries,
    pack_members,
    unpack_members,
    unpack_openings,
    unpack_seats,
)
from commonweal.protocol.transitions import ImpossibleEvent, RoundState, apply, start
from commonweal.protocol.types import (
    SEED_DELAY,
    ZERO_DIGEST,
    Digest,
    FailureReason,
    Job,
    JobState,
    Phase,
    Round,
    Wei,
)

WINDOW = 60  # seconds, of every phase
_WINDOWS = dict.fromkeys(
    (f"{name}_window" for name in ("commit", "reveal", "ballot_commit", "ballot_reveal", "attest")),
    WINDOW,
)
TERMS = replace(PARAMETERS, committee_size=3, min_trainers=2, max_failed_rounds=2, **_WINDOWS)
_START = 1_000


class Reverted(Exception):
    pass


@dataclass(frozen=True)
class Blame:
    member: int
    round: int
    phase_began: int  # seconds


@dataclass(frozen=True)
class Sight:
    """All that can be seen of the chain at one block."""

    block: Block
    job: Job
    round: Round
    record: RoundRecord


@dataclass
class Chain:
    """One job, its members all trainers and validators, started already."""

    now: int = _START
    blames: list[Blame] = field(default_factory=list)
    sights: list[Sight] = field(default_factory=list)  # by block
    events: list[ev.ChainEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        size = len(MEMBERS)
        self.job = make_job(parameters=TERMS, members=size, active_trainers=size)
        created = ev.JobCreated(
            self._ref(), 1, self.job.requester, ZERO_DIGEST, Wei(1), Wei(1), 1, TERMS
        )
        self.state = start(created)
        self._began = self.now
        for each in MEMBERS:
            address = each.provider
            self._emit(ev.MemberJoined, each.member, address, address, each.roles, Wei(1))
        self._open(self.job.parameters.initial_model)
        self.mine()

    @property
    def is_over(self) -> bool:
        return self.job.state.is_over

    @property
    def round(self) -> Round:
        return self.state.round

    @property
    def record(self) -> RoundRecord:
        return collect_round(self.events, 1, self.round.round)

    @property
    def _seats(self) -> frozenset[int]:
        return frozenset(range(len(self.round.committee)))

    def mine(self, seconds: int = 0) -> None:
        self.now += seconds
        number = len(self.sights)
        block = Block(number, number.to_bytes(32), max(0, number - 1).to_bytes(32), self.now)
        self.sights.append(Sight(block, self.job, self.round, self.record))

    def take(self, call: ContractCall) -> None:
        """Mines `call`, or raises Reverted and changes nothing."""
        if self.is_over:
            raise Reverted("JobOver")
        before: tuple[RoundState, int, int] = (self.state, len(self.events), self._began)
        try:
            getattr(self, "_" + call.function)(*call.args[1:])
        except (ImpossibleEvent, Reverted) as error:
            self.state, count, self._began = before
            del self.events[count:]
            raise Reverted(str(error)) from error
        self.mine()

    # Messages. What is there already is passed over.

    def _commitUpdates(self, round_: int, members: bytes, commitments: Any, _: bytes) -> None:
        self._require(round_, Phase.COMMIT)
        pairs = zip(unpack_members(members), commitments, strict=True)
        new = [(member, word) for member, word in pairs if member not in self.round.committed]
        if not new:
            raise Reverted("NothingNew")
        self._emit_round(ev.UpdatesCommitted, self.round.batches, pack_entries(new))

    def _revealUpdates(
        self, round_: int, batch: int, members: bytes, opened: int, openings: bytes
    ) -> None:
        self._require(round_, Phase.REVEAL)
        entries = unpack_openings(members, opened, openings)
        fresh = [
            (at, entry)
            for at, entry in enumerate(entries)
            if entry[2] is not None and entry[0] not in self.round.revealed
        ]
        if not fresh:
            raise Reverted("NothingNew")
        packed = b"".join(value + (salt or b"") for _, (_, value, salt) in fresh)
        names, mask = pack_members(entry[0] for _, entry in fresh), (1 << len(fresh)) - 1
        self._emit_round(ev.UpdatesRevealed, batch, names, mask, packed)
        self._close_reveal()

    def _commitBallots(self, round_: int, seats: bytes, commitments: Any, _: bytes) -> None:
        self._require(round_, Phase.BALLOT_COMMIT)
        pairs = zip(unpack_seats(seats), commitments, strict=True)
        new = [pair for pair in pairs if pair[0] not in self.round.ballots_committed]
        if not new:
            raise Reverted("NothingNew")
        names = bytes(seat for seat, _ in new)
        self._emit_round(ev.BallotsCommitted, names, tuple(word for _, word in new))

    def _revealBallots(
        self, round_: int, seats: bytes, ballots: bytes, salts: bytes, _: object
    ) -> None:
        """Whoever gives all that is known, when nothing more may come, has it tallied."""
        late = self.now >= self.round.ends_at
        if self.round.round != round_ or self.round.phase is not Phase.BALLOT_REVEAL:
            raise Reverted("PhaseWrong")
        given = set(unpack_seats(seats))
        if late and given - self.round.ballots_revealed:
            raise Reverted("PhaseOver")
        self._emit_round(ev.BallotsRevealed, seats, ballots, salts)
        revealed, committed = self.round.ballots_revealed, self.round.ballots_committed
        has_quorum = 2 * len(revealed) > self.round.committee_size
        if given == revealed and (late or revealed == committed) and has_quorum:
            self._blame_seats(committed - revealed)
            count = len(self.round.revealed)
            self._emit_round(ev.RoundTallied, b"\0\1" * count, b"")
            self._start_phase(Phase.ATTEST)

    def _attest(self, round_: int, digest: bytes, seats: bytes, _: bytes) -> None:
        self._require(round_, Phase.ATTEST)
        new = bytes(seat for seat in unpack_seats(seats) if seat not in self.round.attested)
        if not new:
            raise Reverted("NothingNew")
        self._emit_round(ev.ModelAttested, Digest(digest), new)

    # Transitions

    def _advance(self) -> None:
        round_, over = self.round, self.now >= self.round.ends_at
        match round_.phase:
            case Phase.COMMIT if over or round_.commits >= max(round_.expected, TERMS.min_trainers):
                if round_.commits < TERMS.min_trainers:
                    self._fail(FailureReason.TOO_FEW_COMMITMENTS)
                    return
                self._start_phase(Phase.REVEAL)
                self._emit_round(ev.SeedBlockFixed, len(self.sights) + SEED_DELAY)
            case Phase.REVEAL if over and round_.reveals < TERMS.min_trainers:
                self._blame(round_.committed - round_.revealed)
                self._fail(FailureReason.TOO_FEW_REVEALS)
            case Phase.REVEAL if over and round_.committee:
                self._blame(round_.committed - round_.revealed)
                self._start_phase(Phase.BALLOT_COMMIT)
            case Phase.BALLOT_COMMIT if over or len(round_.ballots_committed) == len(
                round_.committee
            ):
                self._blame_seats(self._seats - round_.ballots_committed)
                if 2 * len(round_.ballots_committed) > round_.committee_size:
                    self._start_phase(Phase.BALLOT_REVEAL)
                else:
                    self._fail(FailureReason.TOO_FEW_BALLOTS)
            case Phase.BALLOT_REVEAL if (
                over and 2 * len(round_.ballots_revealed) <= round_.committee_size
            ):
                self._blame_seats(round_.ballots_committed - round_.ballots_revealed)
                self._fail(FailureReason.TOO_FEW_BALLOTS)
            case Phase.ATTEST if over and round_.agreed_model == ZERO_DIGEST:
                self._blame_seats(self._seats - round_.attested)
                self._fail(FailureReason.NO_MODEL_AGREED)
            case _:
                raise Reverted("NothingDue")

    def _draw(self, _header: bytes) -> None:
        if self.round.phase is not Phase.REVEAL or len(self.sights) <= self.round.seed_block:
            raise Reverted("SeedPending")
        chance = random.Random(self.round.seed_block)
        members = chance.sample(range(len(MEMBERS)), TERMS.committee_size)
        self._emit_round(ev.CommitteeDrawn, bytes(32), tuple(members))
        self._close_reveal()

    def _finalise(self, round_: int, *_: object) -> None:
        if self.round.round != round_:
            raise Reverted("RoundWrong")
        model = self.round.agreed_model
        self._emit_round(ev.RoundFinalised, model, bytes(32))
        self.job = replace(self.job, finalised_rounds=self.job.finalised_rounds + 1)
        self._go_on(model)

    def _fail(self, reason: FailureReason) -> None:
        self._emit_round(ev.RoundFailed, reason)
        self.job = replace(self.job, failed_rounds=self.job.failed_rounds + 1)
        self._go_on(self.round.parent_model)

    def _go_on(self, model: Digest) -> None:
        if self.job.finalised_rounds == TERMS.rounds:
            self.job = replace(self.job, state=JobState.COMPLETED)
        elif self.job.failed_rounds > TERMS.max_failed_rounds:
            self.job = replace(self.job, state=JobState.EXHAUSTED)
        else:
            self._open(model)

    def _open(self, model: Digest) -> None:
        self._began = self.now
        number = self.round.round + 1
        self._emit(ev.RoundOpened, number, model, self.now + WINDOW)

    def _close_reveal(self) -> None:
        if self.round.committee and self.round.revealed == self.round.committed:
            self._start_phase(Phase.BALLOT_COMMIT)

    def _start_phase(self, phase: Phase) -> None:
        self._began = self.now
        self._emit_round(ev.PhaseStarted, phase, self.now + WINDOW)

    def _blame_seats(self, seats: frozenset[int]) -> None:
        self._blame(frozenset(self.round.committee[seat] for seat in seats))

    def _blame(self, members: frozenset[int]) -> None:
        self.blames += [Blame(each, self.round.round, self._began) for each in members]

    def _require(self, round_: int, phase: Phase) -> None:
        if (self.round.round, self.round.phase) != (round_, phase):
            raise Reverted("PhaseWrong")
        if self.now >= self.round.ends_at:
            raise Reverted("PhaseOver")

    def _emit_round(self, kind: Any, *args: object) -> None:
        self._emit(kind, self.round.round, *args)

    def _emit(self, kind: Any, *args: object) -> None:
        event = kind(self._ref(), 1, *args)
        self.state = apply(self.state, event)
        self.events.append(event)

    def _ref(self) -> ev.EventRef:
        number = len(self.sights)
        return ev.EventRef(number, number.to_bytes(32), bytes(32), len(self.events), self.now)
