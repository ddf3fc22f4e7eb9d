"""The protocol's money, modelled without the contracts: wallets, stakes, escrows, credits, slashes.

Written from docs/protocol.md; what faults cost comes from commonweal.protocol. Each method takes
the time of the block it would be mined in, and either changes the model or raises Refused and
changes nothing. Rounds are in `round_model`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

from commonweal.protocol import stakes
from commonweal.protocol.types import (
    Fault,
    JobParameters,
    JobState,
    ProtocolParameters,
    Role,
    Wei,
)

UNITS = 2**31  # of a job's escrow


class Refused(Exception):
    """`name` is the custom error with which the contract must refuse."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def require(condition: bool, name: str) -> None:
    if not condition:
        raise Refused(name)


class Part(Enum):
    FREE = "free"
    UNBONDING = "unbonding"
    LOCKED = "locked"


@dataclass
class Stake:
    roles: Role
    parts: Counter[Part] = field(default_factory=Counter)
    withdrawable_at: int = 0
    missed: int = 0
    jailed_until: int = 0

    def take(self, amount: int) -> int:
        parts = stakes.Stake(*(Wei(self.parts[part]) for part in Part))
        left, taken = stakes.take_stake(parts, Wei(amount))
        self.parts = Counter({part: getattr(left, part.value) for part in Part})
        return taken

    def give(self, amount: int) -> None:
        self.parts[Part.FREE] += amount

    def miss_duty(self, rules: ProtocolParameters, now: int) -> None:
        conduct = stakes.miss_duty(stakes.Conduct(self.missed, self.jailed_until), rules, now)
        self.missed, self.jailed_until = conduct.missed_duties, conduct.jailed_until


@dataclass
class Slash:
    provider: str
    amount: int
    bounty: int
    prover: str
    settleable_at: int
    settled: bool = False


@dataclass
class Member:
    provider: str
    roles: Role
    stake: int
    active: bool = True
    units: int = 0  # earned and not claimed
    nonce: int = 1  # of the next message about membership


@dataclass
class Job:
    parameters: JobParameters
    requester: str
    escrow: int
    quantum: int
    state: JobState = JobState.RECRUITING
    finalised: int = 0
    failed: int = 0
    ended_at: int = 0  # 0 as well if it was cancelled before it started
    members: list[Member] = field(default_factory=list)

    def find(self, provider: str) -> int | None:
        found = (at for at, its in enumerate(self.members) if its.provider == provider)
        return next(found, None)

    def active(self, role: Role) -> list[int]:
        """Members, ascending."""
        return [at for at, its in enumerate(self.members) if its.active and role in its.roles]

    @property
    def is_ready_but_for_time(self) -> bool:
        asked = self.parameters
        trainers, validators = self.active(Role.TRAINER), self.active(Role.VALIDATOR)
        return len(trainers) >= asked.min_trainers and len(validators) >= asked.committee_size

    def is_ready(self, now: int) -> bool:
        full = len(self.active(Role.TRAINER)) == self.parameters.max_trainers
        in_time = full or now >= self.parameters.recruit_until
        return self.state is JobState.RECRUITING and in_time and self.is_ready_but_for_time


class MoneyModel(ABC):
    def __init__(self, rules: ProtocolParameters, wallets: dict[str, int]) -> None:
        self.rules = rules
        self.wallets = Counter(wallets)
        self.stakes: dict[str, Stake] = {}
        self.jobs: list[Job] = []
        self.fees: Counter[str] = Counter()
        self.slashes: list[Slash] = []
        self.holds: Counter[str] = Counter()  # appeals about what the provider decided

    # Stake

    def register(self, provider: str, roles: Role, amount: int) -> None:
        require(provider not in self.stakes, "AlreadyRegistered")
        self._pay(provider, amount)
        self.stakes[provider] = Stake(roles, Counter({Part.FREE: amount}))

    def add_stake(self, provider: str, amount: int) -> None:
        stake = self._stake(provider)
        self._pay(provider, amount)
        stake.parts[Part.FREE] += amount

    def unbond(self, provider: str, amount: int, now: int) -> None:
        stake = self._stake(provider)
        require(amount <= stake.parts[Part.FREE], "StakeTooLow")
        stake.parts[Part.FREE] -= amount
        stake.parts[Part.UNBONDING] += amount
        stake.withdrawable_at = now + self.rules.unbonding_period

    def withdraw(self, provider: str, now: int) -> None:
        stake = self._stake(provider)
        require(stake.parts[Part.UNBONDING] > 0, "NothingToWithdraw")
        require(now >= stake.withdrawable_at, "NotYet")
        require(self.holds[provider] == 0, "StakeIsHeld")
        self.wallets[provider] += stake.parts.pop(Part.UNBONDING)
        stake.withdrawable_at = 0

    def unjail(self, provider: str, now: int) -> None:
        stake = self._stake(provider)
        require(stake.jailed_until != 0, "ProviderNotJailed")
        require(now >= stake.jailed_until, "NotYet")
        stake.jailed_until = stake.missed = 0

    def slash(self, provider: str, amount: int, fault: Fault, prover: str, now: int) -> None:
        if amount == 0:
            return
        taken = self.stakes[provider].take(amount)
        bounty = stakes.compute_bounty(self.rules, fault, Wei(taken))
        at = now + self.rules.appeal_window
        self.slashes.append(Slash(provider, taken, bounty, prover, at))

    def settle_slash(self, slash: int, now: int) -> None:
        """`slash` counts from 1."""
        require(1 <= slash <= len(self.slashes), "SlashUnknown")
        held = self.slashes[slash - 1]
        require(not held.settled, "SlashAlreadySettled")
        require(now >= held.settleable_at, "NotYet")
        held.settled = True
        self.wallets[held.prover] += held.bounty
        self.wallets[self.rules.treasury] += held.amount - held.bounty

    def miss_duty(self, provider: str, now: int) -> None:
        self.stakes[provider].miss_duty(self.rules, now)

    # Jobs

    def create_job(self, requester: str, parameters: JobParameters, escrow: int) -> None:
        require(escrow >= parameters.rounds * parameters.price_per_round, "EscrowTooLow")
        self._pay(requester, escrow)
        self.jobs.append(Job(parameters, requester, escrow, escrow // UNITS + 1))

    def cancel(self, job: int, caller: str) -> None:
        its = self._job(job)
        require(caller == its.requester, "NotRequester")
        require(its.state in (JobState.RECRUITING, JobState.RUNNING), "JobStateWrong")
        recruiting = its.state is JobState.RECRUITING
        its.state = JobState.CANCELLED if recruiting else JobState.CANCELLING

    def refund(self, job: int) -> None:
        its = self._job(job)
        require(its.state.is_over, "JobStateWrong")
        require(its.escrow > 0, "NothingToRefund")
        self.wallets[its.requester] += its.escrow
        its.escrow = 0

    def join(self, job: int, provider: str, roles: Role, stake: int) -> None:
        its, known = self._job(job), self.stakes[provider]
        require(its.state in (JobState.RECRUITING, JobState.RUNNING), "JobStateWrong")
        require(not self.is_draw_pending(job), "DrawPending")
        require(roles & known.roles == roles, "RolesNotHeld")
        require(stake >= its.parameters.min_stake, "MemberStakeTooLow")
        place = its.find(provider)
        if place is not None:
            require(not its.members[place].active, "MemberExists")
            require(stake >= its.members[place].stake, "MemberStakeTooLow")
        full = len(its.active(Role.TRAINER)) == its.parameters.max_trainers
        require(Role.TRAINER not in roles or not full, "JobFull")
        require(not known.jailed_until, "ProviderIsJailed")
        require(stake <= known.parts[Part.FREE], "StakeTooLow")
        known.parts[Part.FREE] -= stake
        known.parts[Part.LOCKED] += stake
        if place is None:
            its.members.append(Member(provider, roles, stake))
        else:
            member = its.members[place]
            member.roles, member.stake, member.active = roles, stake, True
            member.nonce += 1

    def leave(self, job: int, provider: str, now: int) -> None:
        its = self._job(job)
        place = its.find(provider)
        require(place is not None and its.members[place].active, "MemberUnknown")
        assert place is not None
        if its.state.is_over:
            self._require_final(its, now)
        require(not self.is_draw_pending(job), "DrawPending")
        require(not self.is_engaged(job, place), "MemberEngaged")
        its.members[place].nonce += 1
        self._remove(its.members[place])

    def release(self, job: int, now: int) -> None:
        """All members of a job that is over and can be appealed no more."""
        its = self._job(job)
        require(its.state.is_over, "JobStateWrong")
        self._require_final(its, now)
        for member in its.members:
            if member.active:
                self._remove(member)

    def _require_final(self, its: Job, now: int) -> None:
        final = not its.ended_at or now >= its.ended_at + self.rules.appeal_window
        require(final, "StillAppealable")

    def claim(self, provider: str, job: int) -> None:
        its = self._job(job)
        place = its.find(provider)
        require(place is not None, "MemberUnknown")
        assert place is not None
        amount = its.members[place].units * its.quantum
        require(amount > 0, "NothingToClaim")
        its.members[place].units = 0
        self.wallets[provider] += amount

    def claim_fees(self, recipient: str) -> None:
        require(self.fees[recipient] > 0, "NothingToClaim")
        self.wallets[recipient] += self.fees.pop(recipient)

    @abstractmethod
    def is_draw_pending(self, job: int) -> bool:
        """Whether a committee is still to be drawn."""

    @abstractmethod
    def is_engaged(self, job: int, member: int) -> bool:
        """Whether the round in flight counts on the member."""

    def _remove(self, member: Member) -> None:
        member.active = False
        parts = self.stakes[member.provider].parts
        freed = min(member.stake, parts[Part.LOCKED])
        parts[Part.LOCKED] -= freed
        parts[Part.FREE] += freed

    def _stake(self, provider: str) -> Stake:
        require(provider in self.stakes, "ProviderUnknown")
        return self.stakes[provider]

    def _job(self, job: int) -> Job:
        require(1 <= job <= len(self.jobs), "JobUnknown")
        return self.jobs[job - 1]

    def _pay(self, payer: str, amount: int) -> None:
        require(amount <= self.wallets[payer], "ERC20InsufficientBalance")
        self.wallets[payer] -= amount
