"""Why a member was paid what it was paid, round by round: "why wasn't I paid?" has an answer.

Pure: from a job's own events, with a proof of each verdict that anybody can check on chain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from commonweal.protocol.commitments import unpack_openings, unpack_scores, unpack_shares
from commonweal.protocol.merkle import (
    compute_proof,
    compute_settlement_leaf,
    compute_verdict_leaf,
)
from commonweal.protocol.rewards import unpack_payments
from commonweal.protocol.types import Digest, Verdict, Wei
from commonweal.verification.evidence import JobRecord, RoundRecord

Reason = Literal[
    "paid",
    "not-committed",
    "not-revealed",
    "rejected",
    "invalid",
    "unavailable",
    "round-failed",
    "round-open",
]

SENTENCES: dict[Reason, str] = {
    "paid": "the update was verified",
    "not-committed": "no update was committed before COMMIT ended",
    "not-revealed": "the commitment was not opened before REVEAL ended: a fault",
    "rejected": "the committee's median score was 0: no use for the model; no fault",
    "invalid": "more than half of the counted ballots found the update invalid: a fault",
    "unavailable": "more than half of the counted ballots could not fetch the update",
    "round-failed": "the round failed, nobody was paid from it",
    "round-open": "the round is not final yet",
}


@dataclass(frozen=True, slots=True)
class VerdictProof:
    """What `ModelLedger.isVerdict` and `isVerifiedUpdate` take; all hex with 0x."""

    digest: str
    leaf: str
    siblings: tuple[str, ...]  # from the leaf up, the settlement leaf last
    root: str


@dataclass(frozen=True, slots=True)
class RoundPay:
    round: int
    reason: Reason
    score: int | None  # what the contract concluded; None before a tally, or without a reveal
    seat: int | None
    seat_share_bps: int | None  # of an equal part of the validators' pool
    paid_wei: Wei  # for the update and for the seat together
    failure: str | None
    proof: VerdictProof | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"why": SENTENCES[self.reason]}


def explain_member(record: JobRecord, member: int, quantum: Wei) -> tuple[RoundPay, ...]:
    """Every round of the job so far, ascending. `quantum`: wei per unit of the job's payments."""
    rounds = (record.rounds[number] for number in sorted(record.rounds))
    return tuple(_explain(round_, member, quantum) for round_ in rounds)


def _explain(round_: RoundRecord, member: int, quantum: Wei) -> RoundPay:
    digests = _revealed_digests(round_)
    scores = _scores(round_, digests)
    seat = round_.committee.index(member) if member in round_.committee else None
    units = dict(unpack_payments(round_.settled.payments)) if round_.settled else {}
    return RoundPay(
        round=round_.round,
        reason=_find_reason(round_, member, digests, scores),
        score=scores.get(member),
        seat=seat,
        seat_share_bps=_seat_share(round_, seat),
        paid_wei=Wei(units.get(member, 0) * quantum),
        failure=round_.failed.reason.name if round_.failed else None,
        proof=_prove(round_, member, digests, scores),
    )


def _find_reason(
    round_: RoundRecord, member: int, digests: Mapping[int, Digest], scores: Mapping[int, int]
) -> Reason:
    if round_.failed is not None:
        return "round-failed"
    if round_.finalised is None:
        return "round-open"
    if member not in {m for entries in round_.batches.values() for m, _ in entries}:
        return "not-committed"
    if member not in digests:
        return "not-revealed"
    reasons: dict[Verdict, Reason] = {
        Verdict.VERIFIED: "paid",
        Verdict.REJECTED: "rejected",
        Verdict.INVALID: "invalid",
        Verdict.UNAVAILABLE: "unavailable",
    }
    return reasons[Verdict.of(scores[member])]


def _revealed_digests(round_: RoundRecord) -> dict[int, Digest]:
    opened = (
        opening
        for event in round_.reveals
        for opening in unpack_openings(event.members, event.opened, event.openings)
    )
    digests = {member: Digest(value) for member, value, salt in opened if salt is not None}
    return dict(sorted(digests.items()))


def _scores(round_: RoundRecord, digests: Mapping[int, Digest]) -> dict[int, int]:
    if round_.tallied is None:
        return {}
    return dict(zip(digests, unpack_scores(round_.tallied.scores), strict=True))


def _seat_share(round_: RoundRecord, seat: int | None) -> int | None:
    if seat is None or round_.tallied is None:
        return None
    return unpack_shares(round_.tallied.shares)[seat]


def _prove(
    round_: RoundRecord, member: int, digests: Mapping[int, Digest], scores: Mapping[int, int]
) -> VerdictProof | None:
    finalised = round_.finalised
    if finalised is None or member not in scores:
        return None
    leaves = [compute_verdict_leaf(m, digests[m], score) for m, score in scores.items()]
    at = list(scores).index(member)
    seats = round_.attested.get(finalised.model_digest, set())
    settlement = compute_settlement_leaf(
        round_.committee, seats, finalised.ref.timestamp, len(digests)
    )
    siblings = (*compute_proof(leaves, at), settlement)
    return VerdictProof(
        _hex(digests[member]), _hex(leaves[at]), tuple(map(_hex, siblings)),
        _hex(finalised.verdict_root),
    )  # fmt: skip


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
