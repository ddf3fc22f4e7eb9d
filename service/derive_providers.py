"""What the registry announces, folded into providers and slashes."""

from __future__ import annotations

from typing import Any

from commonweal.protocol import events as ev
from commonweal.protocol.types import Address
from service import tables as t
from service.rows import Draft, Row, handles

_NEVER = 2**63 - 1  # the largest second a column holds


@handles
def _provider_registered(draft: Draft, event: ev.ProviderRegistered) -> None:
    row = {
        "provider": event.provider,
        "operator": event.operator,
        "roles": int(event.roles),
        "endpoint": "",
        "free": 0,
        "locked": 0,
        "unbonding": 0,
        "withdrawable_at": 0,
        "missed_duties": 0,
        "jailed_until": 0,
        "slashed": 0,
        "registered_at": event.ref.timestamp,
    }
    draft.insert(t.providers, row)


@handles
def _provider_announced(draft: Draft, event: ev.ProviderAnnounced) -> None:
    row = {"endpoint": event.endpoint, "capabilities": event.capabilities}
    _set_provider(draft, event, **row)


@handles
def _operator_replaced(draft: Draft, event: ev.OperatorReplaced) -> None:
    _set_provider(draft, event, operator=event.operator)


@handles
def _roles_changed(draft: Draft, event: ev.RolesChanged) -> None:
    _set_provider(draft, event, roles=int(event.roles))


@handles
def _stake_added(draft: Draft, event: ev.StakeAdded) -> None:
    draft.add(t.providers, {"provider": event.provider}, free=event.amount)


@handles
def _stake_locked(draft: Draft, event: ev.StakeLocked) -> None:
    changes = {"free": -event.amount, "locked": event.amount}
    draft.add(t.providers, {"provider": event.provider}, **changes)


@handles
def _stake_unlocked(draft: Draft, event: ev.StakeUnlocked) -> None:
    changes = {"free": event.amount, "locked": -event.amount}
    draft.add(t.providers, {"provider": event.provider}, **changes)


@handles
def _unbonding_started(draft: Draft, event: ev.UnbondingStarted) -> None:
    changes = {"free": -event.amount, "unbonding": event.amount}
    draft.add(t.providers, {"provider": event.provider}, **changes)
    _set_provider(draft, event, withdrawable_at=event.withdrawable_at)


@handles
def _stake_withdrawn(draft: Draft, event: ev.StakeWithdrawn) -> None:
    draft.add(t.providers, {"provider": event.provider}, unbonding=-event.amount)


@handles
def _stake_slashed(draft: Draft, event: ev.StakeSlashed) -> None:
    row = {
        "slash": event.slash,
        "provider": event.provider,
        "amount": event.amount,
        "bounty": event.bounty,
        "prover": event.prover,
        "settleable_at": event.settleable_at,
        "settled": False,
    }
    draft.insert(t.slashes, row)
    _take_stake(draft, event.provider, event.amount)
    _add_stake(draft, event.provider, slashed=event.amount)


def _take_stake(draft: Draft, provider: Address, amount: int) -> None:
    key = {"provider": provider}
    taken = _compute_taken(draft.get(t.providers, key), amount)
    draft.add(t.providers, key, **taken)


def _add_stake(draft: Draft, provider: Address, **changes: int) -> None:
    draft.add(t.providers, {"provider": provider}, **changes)


def _compute_taken(provider: Row, amount: int) -> dict[str, int]:
    """Free stake goes first, then unbonding, then locked."""
    changes, left = {}, int(amount)
    for pot in ("free", "unbonding", "locked"):
        taken = min(left, provider[pot])
        changes[pot], left = -taken, left - taken
    return changes


@handles
def _slash_frozen(draft: Draft, event: ev.SlashFrozen) -> None:
    draft.set(t.slashes, {"slash": event.slash}, settleable_at=_NEVER)


@handles
def _slash_unfrozen(draft: Draft, event: ev.SlashUnfrozen) -> None:
    draft.set(t.slashes, {"slash": event.slash}, settleable_at=event.ref.timestamp)


@handles
def _slash_returned(draft: Draft, event: ev.SlashReturned) -> None:
    draft.set(t.slashes, {"slash": event.slash}, settled=True)
    _add_stake(draft, event.provider, free=event.amount, slashed=-event.amount)


@handles
def _stake_moved(draft: Draft, event: ev.StakeMoved) -> None:
    _take_stake(draft, event.payer, event.amount)
    _add_stake(draft, event.payee, free=event.amount)


@handles
def _slash_settled(draft: Draft, event: ev.SlashSettled) -> None:
    draft.set(t.slashes, {"slash": event.slash}, settled=True)


@handles
def _duty_missed(draft: Draft, event: ev.DutyMissed) -> None:
    _set_provider(draft, event, missed_duties=event.in_a_row)


@handles
def _duties_cleared(draft: Draft, event: ev.MissedDutiesCleared) -> None:
    _set_provider(draft, event, missed_duties=0)


@handles
def _provider_jailed(draft: Draft, event: ev.ProviderJailed) -> None:
    _set_provider(draft, event, jailed_until=event.until)


@handles
def _provider_unjailed(draft: Draft, event: ev.ProviderUnjailed) -> None:
    _set_provider(draft, event, jailed_until=0)


def _set_provider(draft: Draft, event: Any, **row: Any) -> None:
    draft.set(t.providers, {"provider": event.provider}, **row)
