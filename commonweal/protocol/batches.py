"""Messages and what the chain already holds of a round, turned into contract calls.

Used by whoever carries messages: the relay for many signers, an agent for itself. Pure: it sends
nothing, checks no signature, and expects messages of one job and round in each call.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from commonweal.protocol.commitments import (
    pack_entries,
    pack_members,
    pack_scores,
    pack_seals,
    pack_seats,
    unpack_ballots,
    unpack_entries,
    unpack_openings,
    unpack_seats,
)
from commonweal.protocol.events import (
    BallotsCommitted,
    BallotsRevealed,
    ChainEvent,
    ModelAttested,
    RoundOpened,
    RoundTallied,
    UpdatesCommitted,
    UpdatesRevealed,
)
from commonweal.protocol.messages import (
    BallotCommitmentMessage,
    BallotRevealMessage,
    JoinMessage,
    LeaveMessage,
    ModelAttestationMessage,
    UpdateCommitmentMessage,
    UpdateRevealMessage,
)
from commonweal.protocol.types import MAX_BATCH, Digest


@dataclass(frozen=True, slots=True)
class ContractCall:
    """`contract` and `function` as in the ABI; `args` in its order."""

    contract: str
    function: str
    args: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class CommitmentBatch:
    batch: int
    entries: tuple[tuple[int, bytes], ...]  # (member, commitment), in the chain's order


@dataclass(frozen=True, slots=True)
class BallotOpening:
    ballot: bytes  # uint16 per revealed update, members ascending
    salt: bytes


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """What the chain's events say about one round, as far as later calls must repeat it."""

    job: int
    round: int
    parent_model: Digest | None = None
    batches: tuple[CommitmentBatch, ...] = ()
    reveals: tuple[bytes, ...] = ()  # per reveal call: (uint16 member, bytes32 digest) records
    digests: Mapping[int, Digest] = field(default_factory=dict)  # by revealed member
    seals: tuple[
        bytes, ...
    ] = ()  # per commitBallots call: (uint8 seat, bytes32 commitment) records
    sealed: Mapping[int, bytes] = field(default_factory=dict)  # ballot commitments by seat
    ballots: Mapping[int, BallotOpening] = field(default_factory=dict)  # by seat
    scores: bytes = b""  # as tallied; empty before
    shares: bytes = b""
    attestations: Mapping[int, Digest] = field(default_factory=dict)  # by seat

    def commitment_of(self, member: int) -> bytes | None:
        entries = (entry for batch in self.batches for entry in batch.entries)
        return next((commitment for index, commitment in entries if index == member), None)


def collect_round(events: Iterable[ChainEvent], job: int, round_: int) -> RoundRecord:
    """Fold the events of one round, given in chain order; others are passed over."""
    record = RoundRecord(job, round_)
    for event in events:
        if getattr(event, "job", None) == job and getattr(event, "round", None) == round_:
            record = apply_event(record, event)
    return record


def apply_event(record: RoundRecord, event: ChainEvent) -> RoundRecord:
    """`event` must be of the record's round; kinds that no later call repeats change nothing."""
    match event:
        case RoundOpened():
            return replace(record, parent_model=event.parent_model)
        case UpdatesCommitted():
            batch = CommitmentBatch(event.batch, unpack_entries(event.entries))
            return replace(record, batches=(*record.batches, batch))
        case UpdatesRevealed():
            entries = opened_entries(event)
            return replace(
                record,
                reveals=(*record.reveals, pack_entries(entries)),
                digests={**record.digests, **{m: Digest(digest) for m, digest in entries}},
            )
        case BallotsCommitted():
            sealed = dict(zip(unpack_seats(event.seats), event.commitments, strict=True))
            return replace(
                record,
                seals=(*record.seals, pack_seals(sealed.items())),
                sealed={**record.sealed, **sealed},
            )
        case BallotsRevealed():
            opened = unpack_ballots(event.seats, event.ballots, event.salts)
            ballots = {seat: BallotOpening(ballot, salt) for seat, ballot, salt in opened}
            return replace(record, ballots={**record.ballots, **ballots})
        case RoundTallied():
            return replace(record, scores=event.scores, shares=event.shares)
        case ModelAttested():
            seats = dict.fromkeys(unpack_seats(event.seats), event.model_digest)
            return replace(record, attestations={**record.attestations, **seats})
        case _:
            return record


def opened_entries(event: UpdatesRevealed) -> list[tuple[int, bytes]]:
    """(member, digest) of the entries this call opened, in the batch's order.

    Raises InvalidPacking.
    """
    entries = unpack_openings(event.members, event.opened, event.openings)
    return [(member, value) for member, value, salt in entries if salt is not None]


def commit_updates(messages: Sequence[UpdateCommitmentMessage]) -> list[ContractCall]:
    """One `commitUpdates` per 256 members, members ascending."""
    ordered = sorted(messages, key=lambda message: message.member)
    pages = [ordered[at : at + MAX_BATCH] for at in range(0, len(ordered), MAX_BATCH)]
    return [_commit_page(page) for page in pages]


def reveal_updates(
    messages: Sequence[UpdateRevealMessage], record: RoundRecord
) -> list[ContractCall]:
    """One `revealUpdates` per commitment batch that holds one of the messages' members."""
    openings = {message.member: message for message in messages}
    return [
        _reveal_batch(record, batch, openings)
        for batch in record.batches
        if any(member in openings for member, _ in batch.entries)
    ]


def commit_ballots(messages: Sequence[BallotCommitmentMessage]) -> ContractCall:
    ordered = sorted(messages, key=lambda message: message.seat)
    seats = pack_seats(message.seat for message in ordered)
    commitments = tuple(_bytes(message.commitment) for message in ordered)
    signatures = b"".join(_bytes(message.signature) for message in ordered)
    args = (ordered[0].job, ordered[0].round, seats, commitments, signatures)
    return ContractCall("Rounds", "commitBallots", args)


def reveal_ballots(
    messages: Sequence[BallotRevealMessage], record: RoundRecord, *, repeat: bool
) -> ContractCall:
    """`repeat` gives the ballots revealed earlier again, as whoever completes the set must."""
    new = {m.seat: BallotOpening(pack_scores(m.scores), _bytes(m.salt)) for m in messages}
    return _reveal_openings(record, {**(record.ballots if repeat else {}), **new})


def tally_ballots(record: RoundRecord) -> ContractCall:
    """`revealBallots` with nothing but what is on chain: closes the phase after its deadline."""
    return _reveal_openings(record, record.ballots)


def attest_model(messages: Sequence[ModelAttestationMessage]) -> list[ContractCall]:
    """One `attest` per model digest, the one with most seats first."""
    by_digest: defaultdict[str, list[ModelAttestationMessage]] = defaultdict(list)
    for message in sorted(messages, key=lambda message: message.seat):
        by_digest[message.model_digest].append(message)
    return [_attest_digest(group) for group in sorted(by_digest.values(), key=len, reverse=True)]


def finalise_round(record: RoundRecord) -> ContractCall:
    args = (record.job, record.round, record.reveals, record.scores, record.shares)
    return ContractCall("Rounds", "finalise", args)


def advance_job(job: int) -> ContractCall:
    return ContractCall("Rounds", "advance", (job,))


def draw_committee(job: int, header: bytes) -> ContractCall:
    """`header`: of the seed block, in RLP."""
    return ContractCall("Rounds", "draw", (job, header))


def join_job(message: JoinMessage) -> ContractCall:
    proof = tuple(_bytes(word) for word in message.allowlist_proof)
    args = (message.job, message.provider, message.roles, message.stake, message.deadline)
    return ContractCall("JobBoard", "joinJob", (*args, proof, _bytes(message.signature)))


def leave_job(message: LeaveMessage) -> ContractCall:
    args = (message.job, message.provider, message.deadline, _bytes(message.signature))
    return ContractCall("JobBoard", "leaveJob", args)


def _commit_page(page: Sequence[UpdateCommitmentMessage]) -> ContractCall:
    members = pack_members(message.member for message in page)
    commitments = tuple(_bytes(message.commitment) for message in page)
    signatures = b"".join(_bytes(message.signature) for message in page)
    args = (page[0].job, page[0].round, members, commitments, signatures)
    return ContractCall("Rounds", "commitUpdates", args)


def _reveal_batch(
    record: RoundRecord, batch: CommitmentBatch, openings: Mapping[int, UpdateRevealMessage]
) -> ContractCall:
    opened, parts = 0, []
    for position, (member, commitment) in enumerate(batch.entries):
        if opening := openings.get(member):
            opened |= 1 << position
            parts += [_bytes(opening.digest), _bytes(opening.salt)]
        else:
            parts.append(commitment)
    members = pack_members(member for member, _ in batch.entries)
    args = (record.job, record.round, batch.batch, members, opened, b"".join(parts))
    return ContractCall("Rounds", "revealUpdates", args)


def _reveal_openings(record: RoundRecord, openings: Mapping[int, BallotOpening]) -> ContractCall:
    seats = sorted(openings)
    ballots = b"".join(openings[seat].ballot for seat in seats)
    salts = b"".join(openings[seat].salt for seat in seats)
    args = (record.job, record.round, pack_seats(seats), ballots, salts, record.seals)
    return ContractCall("Rounds", "revealBallots", args)


def _attest_digest(group: Sequence[ModelAttestationMessage]) -> ContractCall:
    seats = pack_seats(message.seat for message in group)
    signatures = b"".join(_bytes(message.signature) for message in group)
    args = (group[0].job, group[0].round, _bytes(group[0].model_digest), seats, signatures)
    return ContractCall("Rounds", "attest", args)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
