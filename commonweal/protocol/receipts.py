"""A coordinator's signed word that it took a message, with which a sender can prove censorship.

A receipt names the message's value and the moment. Whether the word was kept is on chain: the value
is there, or the phase that it belonged to went by without it. Whatever the sender may have caused
itself, such as another value in the same slot, is held against nobody.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from commonweal.protocol.batches import RoundRecord, collect_round
from commonweal.protocol.commitments import (
    compute_ballot_commitment,
    compute_update_commitment,
    pack_scores,
)
from commonweal.protocol.events import (
    ChainEvent,
    CommitteeDrawn,
    MemberJoined,
    MemberLeft,
    MemberOperatorRefreshed,
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
from commonweal.protocol.types import Address, FailureReason, Phase

PHASE_OF = {
    "update-commitment": Phase.COMMIT,
    "update-reveal": Phase.REVEAL,
    "ballot-commitment": Phase.BALLOT_COMMIT,
    "ballot-reveal": Phase.BALLOT_REVEAL,
    "model-attestation": Phase.ATTEST,
}


_SKEW_MS = 30_000  # between the coordinator's clock and the chain's


class Outcome(StrEnum):
    KEPT = "kept"
    OPEN = "open"  # there is time left
    VOID = "void"  # not done, and not for certain by the coordinator's fault
    BROKEN = "broken"  # by nobody but the coordinator


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


def judge_promise(
    receipt: RelayReceipt, domain: Domain, message: Message, events: Sequence[ChainEvent], now: int
) -> Outcome:
    """Of a genuine receipt for `message`. `events`: of its job, in chain order; `now`: chain time.

    `domain`: of the Rounds contract. Stake, roles or a nonce that the sender used elsewhere may be
    why a join or leave did not happen: none of these is ever broken.
    """
    if isinstance(message, JoinMessage | LeaveMessage):
        if _has_moved(message, events, receipt.received_at):
            return Outcome.KEPT
        return Outcome.VOID if now > message.deadline else Outcome.OPEN
    record = collect_round(events, message.job, message.round)
    found, promised = _read_slot(message, record)
    if found is not None:  # another value than the promised one: the sender signed both
        return Outcome.KEPT if found == promised else Outcome.VOID
    end = _find_end(message, events)
    if end is None:
        return Outcome.OPEN
    is_excused = _was_cut_short(message, events, end) or _has_changed(message, events, receipt)
    could_be_sent = not is_excused and _can_be_opened(message, record, events, domain)
    return Outcome.BROKEN if could_be_sent else Outcome.VOID


def _has_moved(
    message: JoinMessage | LeaveMessage, events: Iterable[ChainEvent], received_at: int
) -> bool:
    """Since it was taken: a provider may join again, and leave again."""
    kind = MemberJoined if isinstance(message, JoinMessage) else MemberLeft
    return any(
        isinstance(event, kind)
        and event.provider == message.provider
        and event.ref.timestamp * 1_000 >= received_at - _SKEW_MS
        for event in events
    )


def _read_slot(message: RoundMessage, record: RoundRecord) -> tuple[bytes | None, bytes]:
    """What is on chain, and what the message says."""
    match message:
        case UpdateCommitmentMessage():
            return record.commitment_of(message.member), _bytes(message.commitment)
        case UpdateRevealMessage():
            return record.digests.get(message.member), _bytes(message.digest)
        case BallotCommitmentMessage():
            return record.sealed.get(message.seat), _bytes(message.commitment)
        case BallotRevealMessage():
            opening = record.ballots.get(message.seat)
            return opening.ballot if opening else None, pack_scores(message.scores)
        case ModelAttestationMessage():
            return record.attestations.get(message.seat), _bytes(message.model_digest)


def _can_be_opened(
    message: RoundMessage, record: RoundRecord, events: Iterable[ChainEvent], domain: Domain
) -> bool:
    """False for a reveal that does not open what is sealed on chain: no contract would take it."""
    slot = domain.chain_id, domain.contract, message.job, message.round
    match message:
        case UpdateRevealMessage():
            value, salt = _bytes(message.digest), _bytes(message.salt)
            sealed = compute_update_commitment(*slot, message.member, value, salt)
            return sealed == record.commitment_of(message.member)
        case BallotRevealMessage():
            member = _find_member(message, events)
            ballot, salt = pack_scores(message.scores), _bytes(message.salt)
            if member is None:
                return False
            sealed = compute_ballot_commitment(*slot, member, ballot, salt)
            return sealed == record.sealed.get(message.seat)
        case _:
            return True


def _find_member(message: RoundMessage, events: Iterable[ChainEvent]) -> int | None:
    """The sender, or whoever was drawn for its seat."""
    if isinstance(message, UpdateCommitmentMessage | UpdateRevealMessage):
        return message.member
    for event in events:
        if isinstance(event, CommitteeDrawn) and event.round == message.round:
            return event.members[message.seat] if message.seat < len(event.members) else None
    return None


def _find_end(message: RoundMessage, events: Iterable[ChainEvent]) -> ChainEvent | None:
    """What shows that the message's phase is over."""
    for event in events:
        if getattr(event, "round", 0) < message.round:
            continue
        if isinstance(event, RoundFailed | RoundFinalised):
            return event
        if isinstance(event, PhaseStarted):
            later = event.phase > PHASE_OF[message.kind]
            if event.round > message.round or later:
                return event
    return None


def _was_cut_short(message: RoundMessage, events: Iterable[ChainEvent], end: ChainEvent) -> bool:
    """Others may end a phase before its deadline, and an appeal the job: then time was lacking."""
    if isinstance(end, RoundFailed) and end.reason is FailureReason.STOPPED:
        return True
    mine = message.round, PHASE_OF[message.kind]
    return any(
        isinstance(event, PhaseStarted)
        and (event.round, event.phase) == mine
        and end.ref.timestamp < event.ends_at
        for event in events
    )


def _has_changed(
    message: RoundMessage, events: Sequence[ChainEvent], receipt: RelayReceipt
) -> bool:
    """Who has left since, or signs with another key, may have made the message useless."""
    member = _find_member(message, events)
    return any(
        isinstance(event, MemberLeft | MemberOperatorRefreshed)
        and event.member == member
        and event.ref.timestamp * 1_000 >= receipt.received_at - _SKEW_MS
        for event in events
    )


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])
