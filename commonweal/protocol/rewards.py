"""How a round's price is split, to the wei. Credits are whole units of the job's quantum.

Caps, rejected shares and dust never leave the escrow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from commonweal.errors import InvalidInput
from commonweal.protocol.types import BPS, JobParameters, Verdict, Wei
from commonweal.protocol.verdicts import Tally

PAYMENT_BYTES = 6  # uint16 member, uint32 units


class InvalidPayments(InvalidInput):
    code = "invalid-payments"


@dataclass(frozen=True, slots=True)
class Pools:
    trainers: Wei
    validators: Wei
    fee: Wei


@dataclass(frozen=True, slots=True)
class Split:
    payments: tuple[tuple[int, int], ...]  # (member, units), members ascending, units > 0
    fee: Wei
    spent: Wei  # sum of units x quantum, plus the fee


def compute_quantum(escrow: Wei) -> Wei:
    """Wei per payment unit, so that any credit fits into 31 bits."""
    return Wei(escrow // 2**31 + 1)


def compute_pools(parameters: JobParameters) -> Pools:
    price = parameters.price_per_round
    validators = price * parameters.validator_share_bps // BPS
    fee = price * parameters.coordinator_share_bps // BPS
    return Pools(trainers=Wei(price - validators - fee), validators=Wei(validators), fee=Wei(fee))


def split_round(
    parameters: JobParameters,
    quantum: Wei,
    revealed: Sequence[int],
    tally: Tally,
    committee: Sequence[int],
) -> Split:
    """`revealed`: members ascending, as in `tally`; `committee`: members by seat."""
    pools = compute_pools(parameters)
    units: Counter[int] = Counter()
    verified = _verified(revealed, tally)
    total = sum(score for _, score in verified)
    for member, score in verified:
        pay = min(pools.trainers * score // total, pools.trainers // parameters.min_trainers)
        units[member] += pay // quantum
    for member, share in zip(committee, tally.shares, strict=True):
        units[member] += pools.validators // parameters.committee_size * share // BPS // quantum
    payments = tuple(sorted((member, count) for member, count in units.items() if count))
    spent = sum(count for _, count in payments) * quantum + pools.fee
    return Split(payments, pools.fee, Wei(spent))


def pack_payments(payments: Sequence[tuple[int, int]]) -> bytes:
    return b"".join(member.to_bytes(2) + units.to_bytes(4) for member, units in payments)


def unpack_payments(data: bytes) -> tuple[tuple[int, int], ...]:
    """(member, units) of a `RoundSettled` event."""
    if len(data) % PAYMENT_BYTES:
        raise InvalidPayments(f"{len(data)} bytes are not whole payments", have=len(data))
    return tuple(
        (int.from_bytes(data[at : at + 2]), int.from_bytes(data[at + 2 : at + PAYMENT_BYTES]))
        for at in range(0, len(data), PAYMENT_BYTES)
    )


def _verified(revealed: Sequence[int], tally: Tally) -> list[tuple[int, int]]:
    return [
        (member, score)
        for member, score in zip(revealed, tally.scores, strict=True)
        if Verdict.of(score) is Verdict.VERIFIED
    ]
