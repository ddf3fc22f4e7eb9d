"""The round state machine, read from its events: state + event -> state.

Folding a job's events in chain order gives what the contract's `roundOf` shows at the same block.
An event that an honest contract cannot have emitted is refused, so a log can be checked by reading
it. Nothing here knows a clock: deadlines are the contract's business, their passing is an event.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from commonweal.errors import Conflict
from commonweal.protocol.commitments import unpack_entries, unpack_members, unpack_seats
from commonweal.protocol.events import (
    BallotsCommitted,
    BallotsRevealed,
    ChainEvent,
    CommitteeDrawn,
    JobCreated,
    MemberJoined,
    MemberLeft,
    ModelAttested,
    PhaseStarted,
    RoundEvent,
    RoundFailed,
    RoundFinalised,
    RoundOpened,
    RoundTallied,
    SeedBlockFixed,
    UpdatesCommitted,
    UpdatesRevealed,
)
from commonweal.protocol.types import ZERO_DIGEST, Digest, FailureReason, Phase, Role, Round

_NEXT_PHASE = {
    Phase.COMMIT: Phase.REVEAL,
    Phase.REVEAL: Phase.BALLOT_COMMIT,
    Phase.BALLOT_COMMIT: Phase.BALLOT_REVEAL,
    Phase.BALLOT_REVEAL: Phase.ATTEST,
}
_FAILS_IN = {
    FailureReason.TOO_FEW_COMMITMENTS: {Phase.COMMIT},
    FailureReason.TOO_FEW_REVEALS: {Phase.REVEAL},
    FailureReason.COMMITTEE_TOO_SMALL: {Phase.REVEAL},
    FailureReason.TOO_FEW_BALLOTS: {Phase.BALLOT_COMMIT, Phase.BALLOT_REVEAL},
    FailureReason.NOTHING_VERIFIED: {Phase.BALLOT_REVEAL},
    FailureReason.NO_MODEL_AGREED: {Phase.ATTEST},
    FailureReason.NOT_DRAWN: {Phase.REVEAL},
    FailureReason.STOPPED: set(Phase) - {Phase.NONE},
}


class ImpossibleEvent(Conflict):
    """The events given are not a whole log in chain order, or not this protocol's."""

    code = "impossible-event"


@dataclass(frozen=True, slots=True)
class RoundState:
    """A job's round in flight (or its last), and what the next one takes over from it."""

    round: Round
    committee_size: int  # as the job asks; `round.committee_size` is 0 until the job runs
    trainers: frozenset[int] = frozenset()  # active members with that role
    idle: frozenset[int] = frozenset()  # trainers who let the last COMMIT pass in silence
    attestations: tuple[tuple[int, Digest], ...] = ()  # (seat, model)


def start(created: JobCreated) -> RoundState:
    """Before the first round."""
    empty: frozenset[int] = frozenset()
    round_ = Round(
        job=created.job,
        round=0,
        phase=Phase.NONE,
        ends_at=0,
        seed_block=0,
        expected=0,
        commits=0,
        reveals=0,
        batches=0,
        committee_size=0,
        committee=(),
        ballots_committed=empty,
        ballots_revealed=empty,
        attested=empty,
        parent_model=ZERO_DIGEST,
        agreed_model=ZERO_DIGEST,
        committed=empty,
        revealed=empty,
    )
    return RoundState(round_, created.parameters.committee_size)


def fold(events: Iterable[ChainEvent]) -> RoundState | None:
    """One job's events from its creation on, in chain order; None if there are none."""
    state: RoundState | None = None
    for event in events:
        if isinstance(event, JobCreated):
            state = start(event)
        elif state is not None:
            state = apply(state, event)
    return state


def apply(state: RoundState, event: ChainEvent) -> RoundState:
    """What is so after `event`. Raises ImpossibleEvent."""
    match event:
        case MemberJoined() | MemberLeft():
            return _apply_membership(state, event)
        case RoundOpened():
            return _open(state, event)
        case PhaseStarted():
            return _start_phase(state, event)
        case UpdatesCommitted() | UpdatesRevealed():
            return _apply_updates(state, event)
        case SeedBlockFixed():
            _require(state, event, {Phase.REVEAL})
            return _with(state, seed_block=event.seed_block)
        case CommitteeDrawn():
            return _draw(state, event)
        case BallotsCommitted() | BallotsRevealed():
            return _apply_ballots(state, event)
        case RoundTallied():
            _require(state, event, {Phase.BALLOT_REVEAL})
            return state
        case ModelAttested():
            return _attest(state, event)
        case RoundFinalised():
            return _finalise(state, event)
        case RoundFailed():
            return _fail(state, event)
    return state


def _apply_membership(state: RoundState, event: MemberJoined | MemberLeft) -> RoundState:
    trainers = state.trainers - {event.member}
    if isinstance(event, MemberJoined) and Role.TRAINER in event.roles:
        trainers = trainers | {event.member}
    return _expect(replace(state, trainers=trainers))


def _open(state: RoundState, event: RoundOpened) -> RoundState:
    before = state.round
    _check(before.phase is Phase.NONE and event.round == before.round + 1, state, event)
    empty: frozenset[int] = frozenset()
    opened = replace(
        before,
        round=event.round,
        phase=Phase.COMMIT,
        ends_at=event.ends_at,
        seed_block=0,
        commits=0,
        reveals=0,
        batches=0,
        committee_size=state.committee_size,
        committee=(),
        ballots_committed=empty,
        ballots_revealed=empty,
        attested=empty,
        parent_model=event.parent_model,
        agreed_model=ZERO_DIGEST,
        committed=empty,
        revealed=empty,
    )
    return _expect(replace(state, round=opened, attestations=()))


def _start_phase(state: RoundState, event: PhaseStarted) -> RoundState:
    current = state.round.phase
    _require(state, event, _NEXT_PHASE.keys())
    _check(_NEXT_PHASE[current] is event.phase, state, event)
    if event.phase is Phase.REVEAL:
        state = _note_idle(state)
    return _with(state, phase=event.phase, ends_at=event.ends_at)


def _apply_updates(state: RoundState, event: UpdatesCommitted | UpdatesRevealed) -> RoundState:
    round_ = state.round
    if isinstance(event, UpdatesCommitted):
        _require(state, event, {Phase.COMMIT})
        members = [member for member, _ in unpack_entries(event.entries)]
        _check(event.batch == round_.batches, state, event)
        committed = _add(round_.committed, members, state.trainers, state, event)
        changed = _with(
            state, committed=committed, commits=len(committed), batches=round_.batches + 1
        )
        return _expect(changed)
    _require(state, event, {Phase.REVEAL})
    revealed = _add(round_.revealed, opened_members(event), round_.committed, state, event)
    return _with(state, revealed=revealed, reveals=len(revealed))


def opened_members(event: UpdatesRevealed) -> list[int]:
    """The members whose commitments this call opened, in batch order."""
    members = enumerate(unpack_members(event.members))
    return [member for at, member in members if event.opened >> at & 1]


def _draw(state: RoundState, event: CommitteeDrawn) -> RoundState:
    _require(state, event, {Phase.REVEAL})
    fits = not state.round.committee and len(event.members) <= state.committee_size
    _check(fits and len(set(event.members)) == len(event.members), state, event)
    return _with(state, committee=event.members)


def _apply_ballots(state: RoundState, event: BallotsCommitted | BallotsRevealed) -> RoundState:
    round_, seats = state.round, unpack_seats(event.seats)
    if isinstance(event, BallotsCommitted):
        _require(state, event, {Phase.BALLOT_COMMIT})
        everyone = range(len(round_.committee))
        committed = _add(round_.ballots_committed, seats, everyone, state, event)
        return _with(state, ballots_committed=committed)
    _require(state, event, {Phase.BALLOT_REVEAL})
    # Ballots may be given again by whoever completes the set.
    _check(round_.ballots_committed.issuperset(seats), state, event)
    return _with(state, ballots_revealed=round_.ballots_revealed.union(seats))


def _attest(state: RoundState, event: ModelAttested) -> RoundState:
    _require(state, event, {Phase.ATTEST})
    round_, seats = state.round, unpack_seats(event.seats)
    attested = _add(round_.attested, seats, range(len(round_.committee)), state, event)
    given = state.attestations + tuple((seat, event.model_digest) for seat in seats)
    state = _with(replace(state, attestations=given), attested=attested)
    votes = sum(model == event.model_digest for _, model in given)
    if round_.agreed_model == ZERO_DIGEST and 3 * votes > 2 * round_.committee_size:
        return _with(state, agreed_model=event.model_digest)
    return state


def _finalise(state: RoundState, event: RoundFinalised) -> RoundState:
    _require(state, event, {Phase.ATTEST})
    agreed = state.round.agreed_model
    _check(agreed != ZERO_DIGEST and agreed == event.model_digest, state, event)
    return _with(state, phase=Phase.NONE, parent_model=agreed, agreed_model=ZERO_DIGEST)


def _fail(state: RoundState, event: RoundFailed) -> RoundState:
    _require(state, event, _FAILS_IN[event.reason])
    if state.round.phase is Phase.COMMIT:
        state = _note_idle(state)
    expected = state.round.commits
    return _with(state, phase=Phase.NONE, expected=expected, agreed_model=ZERO_DIGEST)


def _note_idle(state: RoundState) -> RoundState:
    """COMMIT is over: who stayed silent is not waited for next time."""
    idle = state.trainers - state.round.committed
    return _with(replace(state, idle=idle), expected=state.round.commits)


def _expect(state: RoundState) -> RoundState:
    """How many commitments end COMMIT early; an idle trainer who came after all counts again."""
    if state.round.phase is not Phase.COMMIT:
        return state
    silent = state.idle - state.round.committed
    # A minority never closes the phase, or the first few could shut the others out for ever.
    majority = len(state.trainers) // 2 + 1
    return _with(state, expected=max(len(state.trainers - silent), majority))


def _add(
    present: frozenset[int],
    new: Collection[int],
    allowed: Collection[int],
    state: RoundState,
    event: RoundEvent,
) -> frozenset[int]:
    """Each only once, and only such as may."""
    together = present.union(new)
    _check(len(together) == len(present) + len(new), state, event)
    _check(all(member in allowed for member in new), state, event)
    return together


def _require(state: RoundState, event: RoundEvent, phases: Collection[Phase]) -> None:
    _check(event.round == state.round.round and state.round.phase in phases, state, event)


def _check(possible: bool, state: RoundState, event: RoundEvent) -> None:
    if possible:
        return
    kind, now = type(event).__name__, state.round
    message = f"{kind} of round {event.round} cannot follow in round {now.round}, {now.phase.name}"
    raise ImpossibleEvent(message, job=now.job, round=now.round, event=kind)


def _with(state: RoundState, **changes: object) -> RoundState:
    return replace(state, round=replace(state.round, **changes))  # type: ignore[arg-type]
