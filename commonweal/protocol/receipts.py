"""A coordinator's signed word that it took a message, with which a sender can prove censorship.

A receipt names the message's value and the moment. Whether the word was kept is on chain: the value
is there, or the phase that it belonged to went by without it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from commonweal.protocol.batches import RoundRecord, collect_round
from commonweal.protocol.events import (
    ChainEvent,
    MemberJoined,
    MemberLeft,
    PhaseStarted,
    RoundFailed,
    RoundFinalised,
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
from commonweal.protocol.signing import (
    Domain,
    hash_relay_receipt,
    recover_compact,
    sign_compact,
)
from commonweal.protocol.types import Address, Phase

PHASE_OF = {
    "update-commitment": Phase.COMMIT,
    "update-reveal": Phase.REVEAL,
    "ballot-commitment": Phase.BALLOT_COMMIT,
    "ballot-reveal": Phase.BALLOT_REVEAL,
    "model-attestation": Phase.ATTEST,
}


class Outcome(StrEnum):
    KEPT = "kept"
    OPEN = "open"  # there is time left
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class RelayReceipt:
    """`received_at`: milliseconds, by the coordinator's clock."""

    coordinator: Address
    received_at: int
    signature: bytes


def compute_id(message: Message) -> str:
    """The same for every signature of the same value; a membership's nonce is in its signature."""
    is_membership = isinstance(message, JoinMessage | LeaveMessage)
    body = message.model_dump(mode="json", exclude=set() if is_membership else {"signature"})
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def sign_receipt(
    private_key: bytes, coordinator: Address, domain: Domain, message_id: str, received_at: int
) -> RelayReceipt:
    digest = hash_relay_receipt(domain, bytes.fromhex(message_id), received_at)
    return RelayReceipt(coordinator, received_at, sign_compact(private_key, digest))


def is_genuine(receipt: RelayReceipt, domain: Domain, message: Message) -> bool:
    """Whether its coordinator signed it, for this very message."""
    digest = hash_relay_receipt(domain, bytes.fromhex(compute_id(message)), receipt.received_at)
    return recover_compact(digest, receipt.signature) == receipt.coordinator


def judge_promise(message: Message, events: Sequence[ChainEvent], now: int) -> Outcome:
    """Of a genuine receipt's message. `events`: of its job, in chain order; `now`: chain time."""
    match message:
        case JoinMessage() | LeaveMessage():
            kind = MemberJoined if isinstance(message, JoinMessage) else MemberLeft
            moved = any(isinstance(e, kind) and e.provider == message.provider for e in events)
            is_late = now > message.deadline
        case _:
            moved = _is_in(message, collect_round(events, message.job, message.round))
            is_late = _is_over(message, events)
    if moved:
        return Outcome.KEPT
    return Outcome.BROKEN if is_late else Outcome.OPEN


def _is_in(message: RoundMessage, record: RoundRecord) -> bool:
    match message:
        case UpdateCommitmentMessage():
            return record.commitment_of(message.member) == _bytes(message.commitment)
        case UpdateRevealMessage():
            return record.digests.get(message.member) == _bytes(message.digest)
        case BallotCommitmentMessage():
            return record.sealed.get(message.seat) == _bytes(message.commitment)
        case BallotRevealMessage():
            return message.seat in record.ballots  # only the sealed one can be opened
        case ModelAttestationMessage():
            return record.attestations.get(message.seat) == _bytes(message.model_digest)


def _is_over(message: RoundMessage, events: Iterable[ChainEvent]) -> bool:
    for event in events:
        if getattr(event, "round", 0) < message.round:
            continue
        if isinstance(event, RoundFailed | RoundFinalised):
            return True
        if isinstance(event, PhaseStarted):
            later = event.phase > PHASE_OF[message.kind]
            if event.round > message.round or later:
                return True
    return False


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])
