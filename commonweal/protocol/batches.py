"""Messages and what the chain already holds of a round, turned into contract calls.

Used by whoever carries messages: the relay for many signers, an agent for itself. Pure: it sends
nothing, checks no signature, and expects messages of one job and round in each call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from commonweal.protocol.events import (
    BallotsRevealed,
    ChainEvent,
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

_ENTRY_BYTES = 34


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
    batches: tuple[CommitmentBatch, ...] = ()
    reveals: tuple[bytes, ...] = ()  # per reveal call: (uint16 member, bytes32 digest) records
    digests: Mapping[int, Digest] = field(default_factory=dict)  # by revealed member
    ballots: Mapping[int, BallotOpening] = field(default_factory=dict)  # by seat
    scores: bytes = b""  # as tallied; empty before
    shares: bytes = b""

    def commitment_of(self, member: int) -> bytes | None:
        entries = (entry for batch in self.batches for entry in batch.entries)
        return next((commitment for index, commitment in entries if index == member), None)


def collect_round(events: Iterable[ChainEvent], job: int, round_: int) -> RoundRecord:
    """Fold the events of one round, given in chain order; others are passed over."""
    raise NotImplementedError


def commit_updates(messages: Sequence[UpdateCommitmentMessage]) -> list[ContractCall]:
    """One `commitUpdates` per 256 members, members ascending."""
    raise NotImplementedError


def reveal_updates(
    messages: Sequence[UpdateRevealMessage], record: RoundRecord
) -> list[ContractCall]:
    """One `revealUpdates` per commitment batch that holds one of the messages' members."""
    raise NotImplementedError


def commit_ballots(messages: Sequence[BallotCommitmentMessage]) -> ContractCall:
    raise NotImplementedError


def reveal_ballots(
    messages: Sequence[BallotRevealMessage], record: RoundRecord, *, repeat: bool
) -> ContractCall:
    """`repeat` gives the ballots revealed earlier again, as whoever completes the set must."""
    raise NotImplementedError


def tally_ballots(record: RoundRecord) -> ContractCall:
    """`revealBallots` with nothing but what is on chain: closes the phase after its deadline."""
    raise NotImplementedError


def attest_model(messages: Sequence[ModelAttestationMessage]) -> list[ContractCall]:
    """One `attest` per model digest, the one with most seats first."""
    raise NotImplementedError


def finalise_round(record: RoundRecord) -> ContractCall:
    raise NotImplementedError


def advance_job(job: int) -> ContractCall:
    return ContractCall("Rounds", "advance", (job,))


def join_job(message: JoinMessage) -> ContractCall:
    raise NotImplementedError


def leave_job(message: LeaveMessage) -> ContractCall:
    raise NotImplementedError
