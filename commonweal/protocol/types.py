"""The protocol's values: units, phases, verdicts, and what one round looks like at one block.

No IO, no clock, no torch. Money is an integer number of wei, time an integer number of seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import NewType

Wei = NewType("Wei", int)
Address = NewType("Address", str)  # EIP-55 checksummed
Digest = NewType("Digest", bytes)  # 32 bytes
Bps = NewType("Bps", int)  # 1/10000
Score = NewType("Score", int)  # uint16

BPS = 10_000
SCORE_MAX = Score(65_533)
SCORE_UNAVAILABLE = Score(65_534)
SCORE_INVALID = Score(65_535)
MAX_BATCH = 256
HASHES_KEPT = 256  # blocks that a contract can look back
SEED_DELAY = 4  # blocks from the end of COMMIT to the one that seeds the draw
ABANDONED_AFTER = 7 * 86_400  # seconds after its deadline, a round that could be finished fails
MAX_COMMITTEE = 15
ZERO_DIGEST = Digest(bytes(32))


class Role(IntFlag):
    TRAINER = 1
    VALIDATOR = 2


class JobState(IntEnum):
    NONE = 0
    RECRUITING = 1
    RUNNING = 2
    CANCELLING = 3
    COMPLETED = 4
    CANCELLED = 5
    EXHAUSTED = 6

    @property
    def is_over(self) -> bool:
        return self >= JobState.COMPLETED


class Phase(IntEnum):
    NONE = 0
    COMMIT = 1
    REVEAL = 2
    BALLOT_COMMIT = 3
    BALLOT_REVEAL = 4
    ATTEST = 5


class FailureReason(IntEnum):
    TOO_FEW_COMMITMENTS = 0
    TOO_FEW_REVEALS = 1
    COMMITTEE_TOO_SMALL = 2
    TOO_FEW_BALLOTS = 3
    NOTHING_VERIFIED = 4
    NO_MODEL_AGREED = 5
    STOPPED = 6  # an earlier model was found wrong
    NOT_DRAWN = 7  # nobody brought the seed for days


class Fault(IntEnum):
    UNREVEALED = 0
    INVALID_UPDATE = 1
    UNAVAILABLE_UPDATE = 2
    ABSENT = 3
    EQUIVOCATION = 4


class Verdict(IntEnum):
    REJECTED = 0
    VERIFIED = 1
    UNAVAILABLE = 2
    INVALID = 3

    @classmethod
    def of(cls, score: int) -> Verdict:
        if score == SCORE_INVALID:
            return cls.INVALID
        if score == SCORE_UNAVAILABLE:
            return cls.UNAVAILABLE
        return cls.REJECTED if score == 0 else cls.VERIFIED


@dataclass(frozen=True, slots=True)
class JobParameters:
    """Field for field the contract's struct of the same name."""

    spec_digest: Digest
    initial_model: Digest
    rounds: int
    price_per_round: Wei
    validator_share_bps: Bps
    coordinator_share_bps: Bps
    coordinator: Address
    min_trainers: int
    max_trainers: int
    committee_size: int
    min_stake: Wei
    commit_window: int
    reveal_window: int
    ballot_commit_window: int
    ballot_reveal_window: int
    attest_window: int
    recruit_until: int
    max_failed_rounds: int
    allowlist_root: Digest


@dataclass(frozen=True, slots=True)
class Job:
    job: int
    requester: Address
    state: JobState
    parameters_version: int
    finalised_rounds: int
    failed_rounds: int
    members: int
    active_trainers: int
    active_validators: int
    escrow: Wei
    quantum: Wei
    parameters: JobParameters


@dataclass(frozen=True, slots=True)
class Member:
    member: int  # index within the job
    provider: Address
    operator: Address
    roles: Role
    active: bool
    stake: Wei
    credit: Wei


@dataclass(frozen=True, slots=True)
class Round:
    """One round as the chain shows it at one block (the contract's `RoundView`)."""

    job: int
    round: int
    phase: Phase
    ends_at: int
    seed_block: int
    expected: int
    commits: int
    reveals: int
    batches: int
    committee_size: int
    committee: tuple[int, ...]  # members by seat
    ballots_committed: frozenset[int]  # seats
    ballots_revealed: frozenset[int]
    attested: frozenset[int]
    parent_model: Digest
    agreed_model: Digest
    committed: frozenset[int]  # members
    revealed: frozenset[int]


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider as its registry shows it at one block, known by its owner's address."""

    provider: Address
    operator: Address
    roles: Role
    missed_duties: int  # in a row
    jailed_until: int  # 0: not jailed
    free: Wei
    locked: Wei
    unbonding: Wei
    withdrawable_at: int


@dataclass(frozen=True, slots=True)
class Slash:
    """A slash that is held back for the appeal window."""

    provider: Address
    amount: Wei
    bounty: Wei
    prover: Address
    treasury: Address
    settleable_at: int
    settled: bool


@dataclass(frozen=True, slots=True)
class ProtocolParameters:
    """Field for field the contract's struct of the same name."""

    treasury: Address
    unbonding_period: int
    appeal_window: int
    unjail_delay: int
    fee_grace: int
    min_window: int
    max_window: int
    unrevealed_slash_bps: Bps
    invalid_slash_bps: Bps
    absent_slash_bps: Bps
    equivocation_slash_bps: Bps
    bounty_bps: Bps
    bounty_cap: Wei
    max_missed_duties: int
