"""What faults cost: what a slash takes and from where, its bounty, and when missed duties jail.

Amounts in wei, times in seconds. The registry keeps the same on chain. Nothing here finds a fault.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from commonweal.errors import InvalidInput
from commonweal.protocol.types import BPS, Bps, Fault, ProtocolParameters, Wei

MISSED_DUTIES_MAX = 255  # a uint8 on chain
_NOTHING = Wei(0)


class FreeStakeTooLow(InvalidInput):
    code = "free-stake-too-low"


@dataclass(frozen=True, slots=True)
class Stake:
    """A provider's stake by what it may do with it."""

    free: Wei
    unbonding: Wei = _NOTHING
    locked: Wei = _NOTHING

    @property
    def total(self) -> Wei:
        return Wei(self.free + self.unbonding + self.locked)


@dataclass(frozen=True, slots=True)
class Conduct:
    """`missed_duties`: in a row; `jailed_until`: 0 if not jailed."""

    missed_duties: int = 0
    jailed_until: int = 0


def lock_stake(stake: Stake, amount: Wei) -> Stake:
    """For a job. Raises FreeStakeTooLow."""
    if amount > stake.free:
        message = f"{stake.free} wei are free, {amount} are to be locked"
        raise FreeStakeTooLow(message, have=stake.free, need=amount)
    return replace(stake, free=Wei(stake.free - amount), locked=Wei(stake.locked + amount))


def unlock_stake(stake: Stake, amount: Wei) -> Stake:
    """Frees less than `amount` if slashes have eaten into the locked stake."""
    freed = min(amount, stake.locked)
    return replace(stake, free=Wei(stake.free + freed), locked=Wei(stake.locked - freed))


def take_stake(stake: Stake, amount: Wei) -> tuple[Stake, Wei]:
    """What is left, and what was taken: free stake first, then unbonding, then locked."""
    free = min(amount, stake.free)
    unbonding = min(amount - free, stake.unbonding)
    locked = min(amount - free - unbonding, stake.locked)
    left = Stake(
        Wei(stake.free - free), Wei(stake.unbonding - unbonding), Wei(stake.locked - locked)
    )
    return left, Wei(free + unbonding + locked)


def slash_bps(rules: ProtocolParameters, fault: Fault) -> Bps:
    """Of the stake that the offender locked in the job."""
    return {
        Fault.UNREVEALED: rules.unrevealed_slash_bps,
        Fault.INVALID_UPDATE: rules.invalid_slash_bps,
        Fault.UNAVAILABLE_UPDATE: Bps(0),
        Fault.ABSENT: rules.absent_slash_bps,
        Fault.EQUIVOCATION: rules.equivocation_slash_bps,
    }[fault]


def compute_slash(rules: ProtocolParameters, fault: Fault, locked_in_job: Wei) -> Wei:
    """What is to be taken; there may be less."""
    return Wei(locked_in_job * slash_bps(rules, fault) // BPS)


def compute_bounty(rules: ProtocolParameters, fault: Fault, taken: Wei) -> Wei:
    """For whoever proved the fault; nothing where the prover may have decided it."""
    if fault is Fault.INVALID_UPDATE:
        return Wei(0)
    return Wei(min(taken * rules.bounty_bps // BPS, rules.bounty_cap))


def is_missed_duty(fault: Fault) -> bool:
    return fault in (Fault.UNAVAILABLE_UPDATE, Fault.ABSENT)


def miss_duty(conduct: Conduct, rules: ProtocolParameters, now: int) -> Conduct:
    """Jails at the last duty that may be missed. A term that runs is not made longer."""
    missed = min(conduct.missed_duties + 1, MISSED_DUTIES_MAX)
    jails = missed >= rules.max_missed_duties and not conduct.jailed_until
    return Conduct(missed, now + rules.unjail_delay if jails else conduct.jailed_until)


def clear_missed_duties(conduct: Conduct) -> Conduct:
    """Does not unjail."""
    return replace(conduct, missed_duties=0)
