"""When waiting messages are due, and which calls carry them. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from commonweal.adapters.chain import ContractReverted
from commonweal.protocol.batches import (
    ContractCall,
    attest_model,
    commit_ballots,
    commit_updates,
    finalise_round,
    join_job,
    leave_job,
    reveal_ballots,
    reveal_updates,
)
from commonweal.protocol.messages import (
    BallotCommitmentMessage,
    BallotRevealMessage,
    JoinMessage,
    LeaveMessage,
    Message,
    ModelAttestationMessage,
    RoundMessage,
    UpdateCommitmentMessage,
    UpdateRevealMessage,
)
from commonweal.protocol.receipts import PHASE_OF
from commonweal.protocol.types import Phase, Round
from service.mailbox import Letter, compute_slot
from service.views import JobView

_PATIENCE = 8  # times the delay, for a batch into which messages keep dropping
_LAST_SECONDS = 2  # of a phase, in which nothing is held back
# What is on chain already blames nobody: the next look at the chain settles it.
_BY_MEMBER = frozenset({"MemberSignatureWrong", "NotTrainer"})
_BY_SEAT = frozenset({"SeatUnknown", "SeatSignatureWrong", "BallotNotCommitted", "BallotWrong"})


@dataclass(frozen=True, slots=True)
class Batch:
    """Letters that go to the chain in one transaction."""

    job: int
    kind: str
    letters: tuple[Letter, ...]
    calls: tuple[ContractCall, ...]
    updates: int = 0  # of the round: a tally or a settlement walks all of them
    seed_block: int = 0  # of a draw that is still to be made

    @property
    def ids(self) -> list[str]:
        return [letter.id for letter in self.letters]

    @property
    def intent(self) -> str:
        """Equal for equal letters: sending them again finds the first transaction."""
        content = hashlib.sha256("".join(self.ids).encode()).hexdigest()[:24]
        return f"{self.kind}:{self.job}:{content}:{len(self.calls)}"

    @property
    def gas(self) -> int:
        """A bound that holds whether or not this batch closes its phase, draws, or settles."""
        return min(1_500_000 + 60_000 * (len(self.letters) + self.updates), 16_000_000)


@dataclass(frozen=True, slots=True)
class Sorted:
    """A job's letters by what the chain says about them."""

    open: tuple[Letter, ...] = ()
    mined: tuple[Letter, ...] = ()
    closed: tuple[Letter, ...] = ()


def sort_letters(view: JobView, letters: Sequence[Letter]) -> Sorted:
    """Which can still be sent, which the chain has already, and for which it is too late."""
    open_, mined, closed = [], [], []
    for letter in letters:
        message = letter.message
        if isinstance(message, JoinMessage | LeaveMessage):
            open_.append(letter)
        elif _is_mined(message, view.round):
            mined.append(letter)
        elif view.round.phase is Phase.NONE or _place(message) < _place_of(view.round):
            closed.append(letter)
        else:
            open_.append(letter)
    return Sorted(tuple(open_), tuple(mined), tuple(closed))


def next_batch(
    view: JobView, letters: Sequence[Letter], *, now: int, now_ms: int, delay: float
) -> Batch | None:
    """`letters`: open ones. Memberships go alone and at once, round messages together."""
    for letter in letters:
        if isinstance(letter.message, JoinMessage | LeaveMessage):
            if is_draw_pending(view.round):
                continue  # until the committee is drawn nobody may join or leave
            return Batch(view.job.job, letter.message.kind, (letter,), (_move(letter.message),))
    due = _due_letters(view, letters, now=now, now_ms=now_ms, delay=delay)
    return _build(view, due) if due else None


def blame(batch: Batch, error: ContractReverted) -> Letter | None:
    """The letter that made the chain refuse the batch, if its error names one."""
    if len(batch.letters) == 1 and isinstance(batch.letters[0].message, JoinMessage | LeaveMessage):
        return batch.letters[0]
    if error.name in _BY_MEMBER:
        return _find(batch, "member", error.arguments.get("member"))
    if error.name in _BY_SEAT:
        return _find(batch, "seat", error.arguments.get("seat"))
    return None


def _find(batch: Batch, attribute: str, value: object) -> Letter | None:
    found = (x for x in batch.letters if getattr(x.message, attribute, None) == value)
    return next(found, None)


def _move(message: JoinMessage | LeaveMessage) -> ContractCall:
    return join_job(message) if isinstance(message, JoinMessage) else leave_job(message)


def _place(message: RoundMessage) -> tuple[int, Phase]:
    return message.round, PHASE_OF[message.kind]


def _place_of(round_: Round) -> tuple[int, Phase]:
    return round_.round, round_.phase


def is_draw_pending(round_: Round) -> bool:
    return round_.phase is Phase.REVEAL and not round_.committee


def _is_mined(message: RoundMessage, round_: Round) -> bool:
    if message.round != round_.round:
        return False
    match message:
        case UpdateCommitmentMessage():
            return message.member in round_.committed
        case UpdateRevealMessage():
            return message.member in round_.revealed
        case BallotCommitmentMessage():
            return message.seat in round_.ballots_committed
        case BallotRevealMessage():
            return message.seat in round_.ballots_revealed
        case ModelAttestationMessage():
            return message.seat in round_.attested


def _due_letters(
    view: JobView, letters: Sequence[Letter], *, now: int, now_ms: int, delay: float
) -> list[Letter]:
    round_ = view.round
    current = _first_of_each(x for x in letters if _belongs(x.message, round_))
    if not current or now >= round_.ends_at:
        return []
    oldest, newest = current[0].received_at, current[-1].received_at
    waited = now_ms - newest >= 1000 * delay or now_ms - oldest >= 1000 * delay * _PATIENCE
    hurried = now >= round_.ends_at - _LAST_SECONDS
    return current if waited or hurried or _missing(view, current) <= 0 else []


def _first_of_each(letters: Iterable[Letter]) -> list[Letter]:
    """A batch that names a member or a seat twice reverts, and takes the others with it."""
    first: dict[str, Letter] = {}
    for letter in letters:
        first.setdefault(compute_slot(letter.message), letter)
    return list(first.values())


def _belongs(message: Message, round_: Round) -> bool:
    if isinstance(message, JoinMessage | LeaveMessage):
        return False
    return message.round == round_.round and PHASE_OF[message.kind] is round_.phase


def _missing(view: JobView, current: Sequence[Letter]) -> int:
    """How many messages that may come are neither here nor on chain."""
    round_ = view.round
    match round_.phase:
        case Phase.COMMIT:
            # Not `expected`: a batch of the expected closes the phase on those who come back.
            return view.job.active_trainers - round_.commits - len(current)
        case Phase.REVEAL:
            return round_.commits - round_.reveals - len(current)
        case Phase.BALLOT_COMMIT:
            return len(round_.committee) - len(round_.ballots_committed) - len(current)
        case Phase.BALLOT_REVEAL:
            return len(round_.ballots_committed) - len(round_.ballots_revealed) - len(current)
        case _:
            return len(round_.committee) - len(round_.attested) - len(current)


def _build(view: JobView, letters: Sequence[Letter]) -> Batch:
    messages = [letter.message for letter in letters]
    kind = messages[0].kind
    calls = tuple(_calls(view, messages))
    round_ = view.round
    seed_block = round_.seed_block if is_draw_pending(round_) else 0
    return Batch(view.job.job, kind, tuple(letters), calls, round_.commits, seed_block)


def _calls(view: JobView, messages: Sequence[Message]) -> list[ContractCall]:
    record = view.record
    match messages[0]:
        case UpdateCommitmentMessage():
            return commit_updates([m for m in messages if isinstance(m, UpdateCommitmentMessage)])
        case UpdateRevealMessage():
            reveals = [m for m in messages if isinstance(m, UpdateRevealMessage)]
            return reveal_updates(reveals, record)
        case BallotCommitmentMessage():
            return [commit_ballots([m for m in messages if isinstance(m, BallotCommitmentMessage)])]
        case BallotRevealMessage():
            ballots = [m for m in messages if isinstance(m, BallotRevealMessage)]
            return [reveal_ballots(ballots, record, repeat=_completes(view.round, ballots))]
        case _:
            return _attest(view, [m for m in messages if isinstance(m, ModelAttestationMessage)])


def _completes(round_: Round, ballots: Sequence[BallotRevealMessage]) -> bool:
    seats = round_.ballots_revealed | {ballot.seat for ballot in ballots}
    return seats >= round_.ballots_committed


def _attest(view: JobView, messages: Sequence[ModelAttestationMessage]) -> list[ContractCall]:
    """With the attestation that settles the model, the round is finalised in one go."""
    calls = attest_model(messages)
    votes = [bytes(digest) for digest in view.record.attestations.values()]
    votes += [bytes.fromhex(message.model_digest[2:]) for message in messages]
    most = max(votes.count(digest) for digest in votes)
    if 3 * most > 2 * view.round.committee_size:
        calls.append(finalise_round(view.record))
    return calls
