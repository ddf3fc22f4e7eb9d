"""The fold, driven by a state machine that plays contract: legal events keep every invariant."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from test_rewards import TERMS

from commonweal.protocol import events as ev
from commonweal.protocol.commitments import pack_entries, pack_members, pack_seats
from commonweal.protocol.transitions import ImpossibleEvent, apply, fold, start
from commonweal.protocol.types import (
    ZERO_DIGEST,
    Address,
    Digest,
    FailureReason,
    Phase,
    Role,
    Wei,
)

REF = ev.EventRef(1, bytes(32), bytes(32), 0, 1_000)
SOMEBODY = Address("0x" + "11" * 20)
MODEL = Digest(b"\x01" * 32)
SEATS = 3
CREATED = ev.JobCreated(
    REF, 1, SOMEBODY, ZERO_DIGEST, Wei(1), Wei(1), 1, replace(TERMS, committee_size=SEATS)
)


def joined(member: int, roles: Role = Role.TRAINER | Role.VALIDATOR) -> ev.MemberJoined:
    return ev.MemberJoined(REF, 1, member, SOMEBODY, SOMEBODY, roles, Wei(1))


def left(member: int) -> ev.MemberLeft:
    return ev.MemberLeft(REF, 1, member, SOMEBODY, Wei(1))


def committed(round_: int, batch: int, *members: int) -> ev.UpdatesCommitted:
    entries = pack_entries([(member, bytes(32)) for member in members])
    return ev.UpdatesCommitted(REF, 1, round_, batch, entries)


def revealed(round_: int, *members: int) -> ev.UpdatesRevealed:
    everyone = (1 << len(members)) - 1
    return ev.UpdatesRevealed(REF, 1, round_, 0, pack_members(members), everyone, ())


def phase(round_: int, which: Phase, ends_at: int = 9) -> ev.PhaseStarted:
    return ev.PhaseStarted(REF, 1, round_, which, ends_at)


def opened(round_: int, parent: Digest = ZERO_DIGEST) -> ev.RoundOpened:
    return ev.RoundOpened(REF, 1, round_, parent, 5)


WHOLE_ROUND = [
    CREATED,
    joined(0),
    joined(1),
    joined(2),
    joined(3),
    opened(1),
    committed(1, 0, 0, 2),
    committed(1, 1, 3),
    phase(1, Phase.REVEAL),
    ev.SeedBlockFixed(REF, 1, 1, 77),
    ev.CommitteeDrawn(REF, 1, 1, bytes(32), (2, 0, 1)),
    revealed(1, 0, 3),
    phase(1, Phase.BALLOT_COMMIT),
    ev.BallotsCommitted(REF, 1, 1, pack_seats([0, 2]), (bytes(32),) * 2),
    phase(1, Phase.BALLOT_REVEAL),
    ev.BallotsRevealed(REF, 1, 1, pack_seats([0, 2]), b"", bytes(32)),
    ev.RoundTallied(REF, 1, 1, b"", b""),
    phase(1, Phase.ATTEST, 12),
    ev.ModelAttested(REF, 1, 1, MODEL, pack_seats([0, 1, 2])),
]


def test_a_whole_round():
    state = fold(WHOLE_ROUND)
    assert state is not None
    round_ = state.round
    assert (round_.round, round_.phase, round_.ends_at) == (1, Phase.ATTEST, 12)
    assert (round_.expected, round_.commits, round_.reveals, round_.batches) == (3, 3, 2, 2)
    assert (round_.committee, round_.seed_block) == ((2, 0, 1), 77)
    assert round_.committed == {0, 2, 3}
    assert round_.revealed == {0, 3}
    assert round_.ballots_committed == round_.ballots_revealed == {0, 2}
    assert round_.attested == {0, 1, 2}
    assert round_.agreed_model == MODEL
    assert state.idle == {1}


def test_the_next_round_starts_from_the_agreed_model_and_does_not_wait_for_the_idle():
    final = ev.RoundFinalised(REF, 1, 1, MODEL, bytes(32))
    state = fold([*WHOLE_ROUND, final, opened(2, MODEL)])
    assert state is not None
    assert (state.round.round, state.round.phase) == (2, Phase.COMMIT)
    assert state.round.parent_model == MODEL
    assert state.round.agreed_model == ZERO_DIGEST
    assert (state.round.expected, state.round.committee) == (3, ())
    # Whoever was idle and comes nevertheless is expected again.
    assert apply(state, committed(2, 0, 1)).round.expected == 4


def test_more_than_two_thirds_must_attest_one_model():
    before = fold(WHOLE_ROUND[:-1])
    assert before is not None
    two = apply(before, ev.ModelAttested(REF, 1, 1, MODEL, pack_seats([0, 1])))
    assert two.round.agreed_model == ZERO_DIGEST
    other = Digest(b"\x02" * 32)
    split = apply(two, ev.ModelAttested(REF, 1, 1, other, pack_seats([2])))
    assert split.round.agreed_model == ZERO_DIGEST
    assert split.round.attested == {0, 1, 2}


def test_a_failed_commit_phase_marks_the_silent():
    state = fold([*WHOLE_ROUND[:7], ev.RoundFailed(REF, 1, 1, FailureReason.TOO_FEW_COMMITMENTS)])
    assert state is not None
    assert state.idle == {1, 3}
    assert state.round.phase is Phase.NONE
    # Two would be a minority that shuts out the others.
    assert apply(state, opened(2)).round.expected == 3


def test_a_stopped_round_has_no_agreed_model():
    state = fold([*WHOLE_ROUND, ev.RoundFailed(REF, 1, 1, FailureReason.STOPPED)])
    assert state is not None
    assert state.round.agreed_model == ZERO_DIGEST


def test_no_events_no_round():
    assert fold([]) is None


FAILED = ev.RoundFailed(REF, 1, 1, FailureReason.NO_MODEL_AGREED)
IMPOSSIBLE = {
    "a round skipped": (5, opened(2)),
    "a round inside a round": (7, opened(2)),
    "a message of another round": (6, committed(2, 0, 1)),
    "a batch skipped": (6, committed(1, 1, 1)),
    "a commitment twice": (7, committed(1, 1, 0)),
    "a commitment of no trainer": (6, committed(1, 0, 9)),
    "a commitment twice in one batch": (6, committed(1, 0, 1, 1)),
    "a reveal before its phase": (7, revealed(1, 0)),
    "a reveal without commitment": (10, revealed(1, 1)),
    "a reveal twice": (12, revealed(1, 0)),
    "a phase skipped": (7, phase(1, Phase.BALLOT_COMMIT)),
    "a phase before the job runs": (5, phase(0, Phase.REVEAL)),
    "a second draw": (11, ev.CommitteeDrawn(REF, 1, 1, bytes(32), (1, 2, 3))),
    "a member on two seats": (10, ev.CommitteeDrawn(REF, 1, 1, bytes(32), (1, 1))),
    "more seats than asked for": (10, ev.CommitteeDrawn(REF, 1, 1, bytes(32), (0, 1, 2, 3))),
    "a ballot from no seat": (13, ev.BallotsCommitted(REF, 1, 1, b"\x03", (bytes(32),))),
    "a ballot not committed": (15, ev.BallotsRevealed(REF, 1, 1, b"\x01", b"", bytes(16))),
    "a tally before its phase": (13, ev.RoundTallied(REF, 1, 1, b"", b"")),
    "an attestation twice": (19, ev.ModelAttested(REF, 1, 1, MODEL, b"\x01")),
    "a model nobody agreed on": (18, ev.RoundFinalised(REF, 1, 1, MODEL, bytes(32))),
    "another model than the agreed": (19, ev.RoundFinalised(REF, 1, 1, ZERO_DIGEST, bytes(32))),
    "a failure for another phase's reason": (7, FAILED),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_events_are_refused(name):
    prefix, event = IMPOSSIBLE[name]
    state = fold(WHOLE_ROUND[:prefix])
    assert state is not None
    with pytest.raises(ImpossibleEvent) as raised:
        apply(state, event)
    assert raised.value.details["event"] == type(event).__name__


class Contract(RuleBasedStateMachine):
    """Emits only what the contract could; the fold must take it and keep the invariants."""

    @initialize(members=st.integers(3, 9))
    def create(self, members):
        self.state = start(CREATED)
        self.members = members
        for member in range(members):
            self.emit(joined(member))
        self.emit(opened(1))

    def emit(self, event):
        self.state = apply(self.state, event)

    @property
    def round_(self):
        return self.state.round

    def is_in(self, *phases):
        return self.round_.phase in phases

    def some(self, data, of):
        return sorted(data.draw(st.sets(st.sampled_from(sorted(of)), min_size=1)))

    @precondition(lambda self: self.is_in(Phase.COMMIT))
    @rule(data=st.data())
    def commit(self, data):
        if missing := self.state.trainers - self.round_.committed:
            chosen = self.some(data, missing)
            self.emit(committed(self.round_.round, self.round_.batches, *chosen))

    @precondition(lambda self: self.is_in(Phase.COMMIT))
    @rule()
    def join(self):
        self.emit(joined(self.members))
        self.members += 1

    @precondition(lambda self: self.is_in(Phase.COMMIT))
    @rule(data=st.data())
    def leave(self, data):
        if free := self.state.trainers - self.round_.committed:
            self.emit(left(data.draw(st.sampled_from(sorted(free)))))

    @precondition(lambda self: self.is_in(Phase.COMMIT) and len(self.round_.committed) >= 2)
    @rule()
    def close_commit(self):
        self.emit(phase(self.round_.round, Phase.REVEAL))
        self.emit(ev.SeedBlockFixed(REF, 1, self.round_.round, 4))

    @precondition(lambda self: self.is_in(Phase.REVEAL) and not self.round_.committee)
    @rule(data=st.data())
    def draw(self, data):
        seats = st.permutations(range(self.members)).map(lambda order: tuple(order[:SEATS]))
        self.emit(ev.CommitteeDrawn(REF, 1, self.round_.round, bytes(32), data.draw(seats)))

    @precondition(lambda self: self.is_in(Phase.REVEAL))
    @rule(data=st.data())
    def reveal(self, data):
        if missing := self.round_.committed - self.round_.revealed:
            self.emit(revealed(self.round_.round, *self.some(data, missing)))

    @precondition(lambda self: self.is_in(Phase.REVEAL) and self.round_.committee)
    @rule()
    def close_reveal(self):
        self.emit(phase(self.round_.round, Phase.BALLOT_COMMIT))

    @precondition(lambda self: self.is_in(Phase.BALLOT_COMMIT))
    @rule(data=st.data())
    def commit_ballots(self, data):
        if missing := set(range(SEATS)) - self.round_.ballots_committed:
            seats = pack_seats(self.some(data, missing))
            self.emit(ev.BallotsCommitted(REF, 1, self.round_.round, seats, ()))

    @precondition(lambda self: self.is_in(Phase.BALLOT_COMMIT, Phase.BALLOT_REVEAL))
    @rule()
    def close_ballots(self):
        before = self.round_.phase is Phase.BALLOT_COMMIT
        self.emit(phase(self.round_.round, Phase.BALLOT_REVEAL if before else Phase.ATTEST))

    @precondition(lambda self: self.is_in(Phase.BALLOT_REVEAL))
    @rule(data=st.data())
    def reveal_ballots(self, data):
        if sealed := self.round_.ballots_committed:
            seats = pack_seats(self.some(data, sealed))
            self.emit(ev.BallotsRevealed(REF, 1, self.round_.round, seats, b"", b""))

    @precondition(lambda self: self.is_in(Phase.ATTEST))
    @rule(data=st.data(), model=st.sampled_from([MODEL, Digest(b"\x02" * 32)]))
    def attest(self, data, model):
        if missing := set(range(SEATS)) - self.round_.attested:
            seats = pack_seats(self.some(data, missing))
            self.emit(ev.ModelAttested(REF, 1, self.round_.round, model, seats))

    @precondition(lambda self: not self.is_in(Phase.NONE))
    @rule()
    def end(self):
        number, agreed = self.round_.round, self.round_.agreed_model
        if agreed != ZERO_DIGEST:
            self.emit(ev.RoundFinalised(REF, 1, number, agreed, bytes(32)))
        else:
            self.emit(ev.RoundFailed(REF, 1, number, REASONS[self.round_.phase]))
        self.emit(opened(number + 1, self.round_.parent_model))

    @invariant()
    def counts_are_of_sets(self):
        round_ = self.round_
        assert (round_.commits, round_.reveals) == (len(round_.committed), len(round_.revealed))
        assert round_.revealed <= round_.committed
        assert round_.ballots_revealed <= round_.ballots_committed <= set(range(SEATS))

    @invariant()
    def a_model_is_agreed_by_more_than_two_thirds_or_not_at_all(self):
        if self.round_.agreed_model != ZERO_DIGEST:
            votes = [m for _, m in self.state.attestations if m == self.round_.agreed_model]
            assert 3 * len(votes) > 2 * SEATS

    @invariant()
    def whoever_committed_is_expected(self):
        if self.is_in(Phase.COMMIT):
            assert self.round_.expected >= len(self.state.trainers & self.round_.committed)


REASONS = {
    Phase.COMMIT: FailureReason.TOO_FEW_COMMITMENTS,
    Phase.REVEAL: FailureReason.TOO_FEW_REVEALS,
    Phase.BALLOT_COMMIT: FailureReason.TOO_FEW_BALLOTS,
    Phase.BALLOT_REVEAL: FailureReason.NOTHING_VERIFIED,
    Phase.ATTEST: FailureReason.NO_MODEL_AGREED,
}

TestContract = Contract.TestCase
TestContract.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
