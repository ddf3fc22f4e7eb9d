"""Receipts: for one message of one sender, and kept or broken by what the chain shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from eth_account import Account

from commonweal.protocol import events as ev
from commonweal.protocol.commitments import (
    compute_ballot_commitment,
    compute_update_commitment,
    pack_scores,
    pack_seats,
)
from commonweal.protocol.events import ChainEvent, EventRef
from commonweal.protocol.messages import (
    BallotRevealMessage,
    JoinMessage,
    Message,
    ModelAttestationMessage,
    UpdateCommitmentMessage,
    UpdateRevealMessage,
)
from commonweal.protocol.receipts import (
    Outcome,
    compute_id,
    is_genuine,
    judge_promise,
    sign_receipt,
)
from commonweal.protocol.signing import Domain
from commonweal.protocol.types import Address, Digest, FailureReason, Phase, Role, Wei

KEY = b"\x77" * 32
COORDINATOR = Address(Account.from_key(KEY).address)
DOMAIN = Domain(31_337, Address("0x" + "0" * 38 + "c1"))
REF = EventRef(1, bytes(32), bytes(32), 0, 1)
PROVIDER = Address("0x" + "0" * 38 + "a1")
SIGNATURE = "0x" + "11" * 64


def word(byte: str) -> str:
    return "0x" + byte * 32


COMMIT = UpdateCommitmentMessage(
    job=1, round=2, member=3, commitment=word("ab"), signature=SIGNATURE
)
REVEAL = UpdateRevealMessage(job=1, round=2, member=3, digest=word("cd"), salt="0x" + "5a" * 16)
BALLOT = BallotRevealMessage(job=1, round=2, seat=1, scores=(1, 2), salt="0x" + "5a" * 16)
ATTEST = ModelAttestationMessage(
    job=1, round=2, seat=0, model_digest=word("ee"), signature=SIGNATURE
)
JOIN = JoinMessage(job=1, provider=PROVIDER, roles=3, stake=1, deadline=1_000, signature=SIGNATURE)


def started(round_: int, phase: Phase, at: int = 1) -> ChainEvent:
    """For a second."""
    return ev.PhaseStarted(replace(REF, timestamp=at), 1, round_, phase, at + 1)


def test_a_receipt_is_for_one_message_one_moment_and_one_network() -> None:
    receipt = sign_receipt(KEY, COORDINATOR, DOMAIN, compute_id(COMMIT), 1_700_000_000_000)
    assert is_genuine(receipt, DOMAIN, COMMIT)
    assert not is_genuine(receipt, DOMAIN, COMMIT.model_copy(update={"round": 3}))
    assert not is_genuine(replace(receipt, received_at=1), DOMAIN, COMMIT)
    assert not is_genuine(replace(receipt, coordinator=PROVIDER), DOMAIN, COMMIT)
    assert not is_genuine(receipt, replace(DOMAIN, chain_id=1), COMMIT)
    # Another signature of the same value is the same message.
    assert is_genuine(receipt, DOMAIN, COMMIT.model_copy(update={"signature": "0x" + "22" * 64}))


def committed(commitment: str) -> ChainEvent:
    return ev.UpdatesCommitted(REF, 1, 2, 0, (3).to_bytes(2) + bytes.fromhex(commitment[2:]))


def drawn_and_sealed(commitment: str) -> list[ChainEvent]:
    return [
        ev.CommitteeDrawn(REF, 1, 2, bytes(32), (5, 7)),
        ev.BallotsCommitted(REF, 1, 2, pack_seats([1]), (bytes.fromhex(commitment[2:]),)),
    ]


def joined(timestamp: int) -> ChainEvent:
    at = replace(REF, timestamp=timestamp)
    return ev.MemberJoined(at, 1, 0, PROVIDER, PROVIDER, Role(3), Wei(1))


def left(member: int, timestamp: int) -> ChainEvent:
    return ev.MemberLeft(replace(REF, timestamp=timestamp), 1, member, PROVIDER, Wei(1))


def refreshed(member: int) -> ChainEvent:
    return ev.MemberOperatorRefreshed(replace(REF, timestamp=500), 1, member, PROVIDER)


SLOT = DOMAIN.chain_id, DOMAIN.contract, 1, 2
SALT = b"\x5a" * 16
SEALED = "0x" + compute_update_commitment(*SLOT, 3, b"\xcd" * 32, SALT).hex()
SEALED_BALLOT = "0x" + compute_ballot_commitment(*SLOT, 7, pack_scores((1, 2)), SALT).hex()
FAILED = ev.RoundFailed(REF, 1, 2, FailureReason.TOO_FEW_REVEALS)
TAKEN = sign_receipt(KEY, COORDINATOR, DOMAIN, compute_id(COMMIT), 500_000)


@pytest.mark.parametrize(
    ("message", "events", "outcome"),
    [
        (COMMIT, [started(2, Phase.COMMIT)], Outcome.OPEN),
        (COMMIT, [started(2, Phase.COMMIT), started(2, Phase.REVEAL, 2)], Outcome.BROKEN),
        (COMMIT, [committed(word("ab")), started(2, Phase.REVEAL)], Outcome.KEPT),
        (COMMIT, [committed(word("ac")), started(2, Phase.REVEAL)], Outcome.VOID),
        (COMMIT, [started(1, Phase.REVEAL)], Outcome.OPEN),
        (COMMIT, [started(3, Phase.COMMIT)], Outcome.BROKEN),
        (REVEAL, [started(2, Phase.REVEAL)], Outcome.OPEN),
        (REVEAL, [committed(SEALED), FAILED], Outcome.BROKEN),
        (REVEAL, [committed(word("ab")), FAILED], Outcome.VOID),  # it opens something else
        (REVEAL, [FAILED], Outcome.VOID),
        (BALLOT, [*drawn_and_sealed(SEALED_BALLOT), FAILED], Outcome.BROKEN),
        (BALLOT, [*drawn_and_sealed(word("ab")), FAILED], Outcome.VOID),
        (BALLOT, [FAILED], Outcome.VOID),
        (ATTEST, [started(2, Phase.ATTEST)], Outcome.OPEN),
        (
            ATTEST,
            [ev.ModelAttested(REF, 1, 2, Digest(bytes.fromhex("ee" * 32)), (0,))],
            Outcome.KEPT,
        ),
        (
            ATTEST,
            [
                ev.ModelAttested(REF, 1, 2, Digest(bytes.fromhex("ef" * 32)), (0,)),
                ev.RoundFinalised(REF, 1, 2, Digest(bytes(32)), bytes(32)),
            ],
            Outcome.VOID,
        ),
        # Others ended the phase before its deadline, or the job.
        (COMMIT, [started(2, Phase.COMMIT), started(2, Phase.REVEAL, 1)], Outcome.VOID),
        (COMMIT, [replace(FAILED, reason=FailureReason.STOPPED)], Outcome.VOID),
        # The sender has left since, or signs with another key.
        (COMMIT, [left(3, 500), FAILED], Outcome.VOID),
        (COMMIT, [left(3, 100), FAILED], Outcome.BROKEN),
        (COMMIT, [left(4, 500), FAILED], Outcome.BROKEN),
        (COMMIT, [refreshed(3), FAILED], Outcome.VOID),
        (
            ATTEST,
            [ev.CommitteeDrawn(REF, 1, 2, bytes(32), (5, 7)), refreshed(5), FAILED],
            Outcome.VOID,
        ),
        (
            ATTEST,
            [ev.CommitteeDrawn(REF, 1, 2, bytes(32), (5, 7)), refreshed(7), FAILED],
            Outcome.BROKEN,
        ),
        (JOIN, [], Outcome.OPEN),
        (JOIN, [joined(500)], Outcome.KEPT),
        (JOIN, [joined(480)], Outcome.KEPT),  # clocks differ
        (JOIN, [joined(100)], Outcome.OPEN),  # an earlier one, before it left
    ],
)
def test_a_promise_is_judged_by_the_chain(
    message: Message, events: Sequence[ChainEvent], outcome: Outcome
) -> None:
    assert judge_promise(TAKEN, DOMAIN, message, events, now=500) is outcome


def test_a_join_that_did_not_happen_convicts_nobody() -> None:
    assert judge_promise(TAKEN, DOMAIN, JOIN, [joined(100)], now=1_001) is Outcome.VOID
