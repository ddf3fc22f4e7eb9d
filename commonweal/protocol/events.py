"""What the contracts announce: one frozen value per event, field for field, in snake_case.

Packed fields stay bytes (`commitments.unpack_entries` and its siblings open them). No decoding of
logs here: that is `commonweal.adapters.chain`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from commonweal.protocol.types import (
    Address,
    Digest,
    FailureReason,
    Fault,
    JobParameters,
    JobState,
    Phase,
    ProtocolParameters,
    Role,
    Wei,
)


@dataclass(frozen=True, slots=True)
class EventRef:
    """Where an event stands in the chain. Chain order is (block_number, log_index)."""

    block_number: int
    block_hash: bytes
    tx_hash: bytes
    log_index: int
    timestamp: int  # of the block, seconds


@dataclass(frozen=True, slots=True)
class _Event:
    ref: EventRef


# JobBoard


@dataclass(frozen=True, slots=True)
class JobCreated(_Event):
    job: int
    requester: Address
    spec_digest: Digest
    escrow: Wei
    quantum: Wei
    parameters_version: int
    parameters: JobParameters


@dataclass(frozen=True, slots=True)
class JobStateChanged(_Event):
    job: int
    state: JobState


@dataclass(frozen=True, slots=True)
class MemberJoined(_Event):
    job: int
    member: int
    provider: Address
    operator: Address
    roles: Role
    stake: Wei


@dataclass(frozen=True, slots=True)
class MemberLeft(_Event):
    job: int
    member: int
    provider: Address
    stake: Wei


@dataclass(frozen=True, slots=True)
class MemberOperatorRefreshed(_Event):
    job: int
    member: int
    operator: Address


@dataclass(frozen=True, slots=True)
class RosterSealed(_Event):
    job: int
    page: int
    members: int
    pointer: Address


@dataclass(frozen=True, slots=True)
class RoundSettled(_Event):
    job: int
    round: int
    payments: bytes  # (uint16 member, uint32 units)*, see rewards.unpack_payments
    fee_recipient: Address
    fee: Wei
    spent: Wei


@dataclass(frozen=True, slots=True)
class RewardClaimed(_Event):
    job: int
    provider: Address
    amount: Wei


@dataclass(frozen=True, slots=True)
class FeeClaimed(_Event):
    recipient: Address
    amount: Wei


@dataclass(frozen=True, slots=True)
class EscrowRefunded(_Event):
    job: int
    requester: Address
    amount: Wei


# Rounds


@dataclass(frozen=True, slots=True)
class RoundOpened(_Event):
    job: int
    round: int
    parent_model: Digest
    ends_at: int


@dataclass(frozen=True, slots=True)
class PhaseStarted(_Event):
    job: int
    round: int
    phase: Phase
    ends_at: int


@dataclass(frozen=True, slots=True)
class UpdatesCommitted(_Event):
    job: int
    round: int
    batch: int
    entries: bytes  # (uint16 member, bytes32 commitment)*


@dataclass(frozen=True, slots=True)
class SeedBlockFixed(_Event):
    job: int
    round: int
    seed_block: int


@dataclass(frozen=True, slots=True)
class CommitteeDrawn(_Event):
    job: int
    round: int
    seed: bytes
    members: tuple[int, ...]  # by seat


@dataclass(frozen=True, slots=True)
class UpdatesRevealed(_Event):
    job: int
    round: int
    batch: int
    members: bytes  # uint16*
    opened: int  # bit per entry of the batch
    openings: bytes  # see commitments.unpack_openings


@dataclass(frozen=True, slots=True)
class BallotsCommitted(_Event):
    job: int
    round: int
    seats: bytes  # uint8*
    commitments: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class BallotsRevealed(_Event):
    job: int
    round: int
    seats: bytes  # uint8*
    ballots: bytes  # uint16 per seat and revealed update
    salts: bytes  # 16 bytes per seat


@dataclass(frozen=True, slots=True)
class RoundTallied(_Event):
    job: int
    round: int
    scores: bytes  # uint16 per revealed update, members ascending
    shares: bytes  # uint16 bps per seat


@dataclass(frozen=True, slots=True)
class ModelAttested(_Event):
    job: int
    round: int
    model_digest: Digest
    seats: bytes  # uint8*


@dataclass(frozen=True, slots=True)
class RoundFinalised(_Event):
    job: int
    round: int
    model_digest: Digest
    verdict_root: bytes


@dataclass(frozen=True, slots=True)
class RoundFailed(_Event):
    job: int
    round: int
    reason: FailureReason


@dataclass(frozen=True, slots=True)
class AbsenceRecorded(_Event):
    job: int
    round: int
    seats: int  # bit per seat


@dataclass(frozen=True, slots=True)
class UnrevealedRecorded(_Event):
    job: int
    round: int
    bitmap: tuple[int, ...]  # bit per member, 256 to a word


# ModelLedger


@dataclass(frozen=True, slots=True)
class ModelRecorded(_Event):
    job: int
    round: int
    model_digest: Digest
    verdict_root: bytes


# Faults


@dataclass(frozen=True, slots=True)
class FaultProven(_Event):
    job: int
    round: int
    member: int
    fault: Fault
    provider: Address
    slash: int  # id in the registry; 0 if nothing was slashed


# ProviderRegistry


@dataclass(frozen=True, slots=True)
class ProviderRegistered(_Event):
    provider: Address
    operator: Address
    roles: Role


@dataclass(frozen=True, slots=True)
class ProviderAnnounced(_Event):
    provider: Address
    endpoint: str
    capabilities: Digest


@dataclass(frozen=True, slots=True)
class OperatorReplaced(_Event):
    provider: Address
    previous: Address
    operator: Address


@dataclass(frozen=True, slots=True)
class RolesChanged(_Event):
    provider: Address
    roles: Role


@dataclass(frozen=True, slots=True)
class StakeAdded(_Event):
    provider: Address
    amount: Wei


@dataclass(frozen=True, slots=True)
class StakeLocked(_Event):
    provider: Address
    amount: Wei


@dataclass(frozen=True, slots=True)
class StakeUnlocked(_Event):
    provider: Address
    amount: Wei


@dataclass(frozen=True, slots=True)
class UnbondingStarted(_Event):
    provider: Address
    amount: Wei
    withdrawable_at: int


@dataclass(frozen=True, slots=True)
class StakeWithdrawn(_Event):
    provider: Address
    amount: Wei


@dataclass(frozen=True, slots=True)
class StakeSlashed(_Event):
    slash: int
    provider: Address
    amount: Wei
    bounty: Wei
    prover: Address
    settleable_at: int


@dataclass(frozen=True, slots=True)
class SlashFrozen(_Event):
    slash: int


@dataclass(frozen=True, slots=True)
class SlashUnfrozen(_Event):
    slash: int


@dataclass(frozen=True, slots=True)
class SlashReturned(_Event):
    slash: int
    provider: Address
    amount: Wei


@dataclass(frozen=True, slots=True)
class StakeMoved(_Event):
    payer: Address
    payee: Address
    amount: Wei


@dataclass(frozen=True, slots=True)
class SlashSettled(_Event):
    slash: int
    to_treasury: Wei
    bounty: Wei


@dataclass(frozen=True, slots=True)
class DutyMissed(_Event):
    provider: Address
    in_a_row: int


@dataclass(frozen=True, slots=True)
class MissedDutiesCleared(_Event):
    provider: Address


@dataclass(frozen=True, slots=True)
class ProviderJailed(_Event):
    provider: Address
    until: int


@dataclass(frozen=True, slots=True)
class ProviderUnjailed(_Event):
    provider: Address


# Parameters


@dataclass(frozen=True, slots=True)
class ParametersPublished(_Event):
    version: int
    parameters: ProtocolParameters


RoundEvent = (
    RoundOpened
    | PhaseStarted
    | UpdatesCommitted
    | SeedBlockFixed
    | CommitteeDrawn
    | UpdatesRevealed
    | BallotsCommitted
    | BallotsRevealed
    | RoundTallied
    | ModelAttested
    | RoundFinalised
    | RoundFailed
    | AbsenceRecorded
    | UnrevealedRecorded
)
JobEvent = (
    JobCreated
    | JobStateChanged
    | MemberJoined
    | MemberLeft
    | MemberOperatorRefreshed
    | RosterSealed
    | RoundSettled
    | RewardClaimed
    | FeeClaimed
    | EscrowRefunded
)
ProviderEvent = (
    ProviderRegistered
    | ProviderAnnounced
    | OperatorReplaced
    | RolesChanged
    | StakeAdded
    | StakeLocked
    | StakeUnlocked
    | UnbondingStarted
    | StakeWithdrawn
    | StakeSlashed
    | SlashFrozen
    | SlashUnfrozen
    | SlashReturned
    | StakeMoved
    | SlashSettled
    | DutyMissed
    | MissedDutiesCleared
    | ProviderJailed
    | ProviderUnjailed
)
ChainEvent = (
    RoundEvent | JobEvent | ProviderEvent | ModelRecorded | FaultProven | ParametersPublished
)

EVENT_TYPES: dict[str, type[ChainEvent]] = {kind.__name__: kind for kind in get_args(ChainEvent)}
