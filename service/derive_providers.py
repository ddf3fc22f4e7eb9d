"""What the registry announces, folded into providers and slashes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert

from commonweal.protocol import events as ev
from commonweal.protocol.types import Address
from service import tables as t
from service.rows import Row, add_to_row, get_row, handles, set_row

_NEVER = 2**63 - 1  # the largest second a column holds


@handles
def _provider_registered(connection: Connection, event: ev.ProviderRegistered) -> None:
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
    connection.execute(insert(t.providers).values(row))


@handles
def _provider_announced(connection: Connection, event: ev.ProviderAnnounced) -> None:
    row = {"endpoint": event.endpoint, "capabilities": event.capabilities}
    _set_provider(connection, event, **row)


@handles
def _operator_replaced(connection: Connection, event: ev.OperatorReplaced) -> None:
    _set_provider(connection, event, operator=event.operator)


@handles
def _roles_changed(connection: Connection, event: ev.RolesChanged) -> None:
    _set_provider(connection, event, roles=int(event.roles))


@handles
def _stake_added(connection: Connection, event: ev.StakeAdded) -> None:
    add_to_row(connection, t.providers, {"provider": event.provider}, free=event.amount)


@handles
def _stake_locked(connection: Connection, event: ev.StakeLocked) -> None:
    changes = {"free": -event.amount, "locked": event.amount}
    add_to_row(connection, t.providers, {"provider": event.provider}, **changes)


@handles
def _stake_unlocked(connection: Connection, event: ev.StakeUnlocked) -> None:
    changes = {"free": event.amount, "locked": -event.amount}
    add_to_row(connection, t.providers, {"provider": event.provider}, **changes)


@handles
def _unbonding_started(connection: Connection, event: ev.UnbondingStarted) -> None:
    changes = {"free": -event.amount, "unbonding": event.amount}
    add_to_row(connection, t.providers, {"provider": event.provider}, **changes)
    _set_provider(connection, event, withdrawable_at=event.withdrawable_at)


@handles
def _stake_withdrawn(connection: Connection, event: ev.StakeWithdrawn) -> None:
    add_to_row(connection, t.providers, {"provider": event.provider}, unbonding=-event.amount)


@handles
def _stake_slashed(connection: Connection, event: ev.StakeSlashed) -> None:
    row = {
        "slash": event.slash,
        "provider": event.provider,
        "amount": event.amount,
        "bounty": event.bounty,
        "prover": event.prover,
        "settleable_at": event.settleable_at,
        "settled": False,
    }
    connection.execute(insert(t.slashes).values(row))
    _take_stake(connection, event.provider, event.amount)
    _add_stake(connection, event.provider, slashed=event.amount)


def _take_stake(connection: Connection, provider: Address, amount: int) -> None:
    key = {"provider": provider}
    taken = _compute_taken(get_row(connection, t.providers, key), amount)
    add_to_row(connection, t.providers, key, **taken)


def _add_stake(connection: Connection, provider: Address, **changes: int) -> None:
    add_to_row(connection, t.providers, {"provider": provider}, **changes)


def _compute_taken(provider: Row, amount: int) -> dict[str, int]:
    """Free stake goes first, then unbonding, then locked."""
    changes, left = {}, int(amount)
    for pot in ("free", "unbonding", "locked"):
        taken = min(left, provider[pot])
        changes[pot], left = -taken, left - taken
    return changes


@handles
def _slash_frozen(connection: Connection, event: ev.SlashFrozen) -> None:
    set_row(connection, t.slashes, {"slash": event.slash}, settleable_at=_NEVER)


@handles
def _slash_unfrozen(connection: Connection, event: ev.SlashUnfrozen) -> None:
    set_row(connection, t.slashes, {"slash": event.slash}, settleable_at=event.ref.timestamp)


@handles
def _slash_returned(connection: Connection, event: ev.SlashReturned) -> None:
    set_row(connection, t.slashes, {"slash": event.slash}, settled=True)
    _add_stake(connection, event.provider, free=event.amount, slashed=-event.amount)


@handles
def _stake_moved(connection: Connection, event: ev.StakeMoved) -> None:
    _take_stake(connection, event.payer, event.amount)
    _add_stake(connection, event.payee, free=event.amount)


@handles
def _slash_settled(connection: Connection, event: ev.SlashSettled) -> None:
    set_row(connection, t.slashes, {"slash": event.slash}, settled=True)


@handles
def _duty_missed(connection: Connection, event: ev.DutyMissed) -> None:
    _set_provider(connection, event, missed_duties=event.in_a_row)


@handles
def _duties_cleared(connection: Connection, event: ev.MissedDutiesCleared) -> None:
    _set_provider(connection, event, missed_duties=0)


@handles
def _provider_jailed(connection: Connection, event: ev.ProviderJailed) -> None:
    _set_provider(connection, event, jailed_until=event.until)


@handles
def _provider_unjailed(connection: Connection, event: ev.ProviderUnjailed) -> None:
    _set_provider(connection, event, jailed_until=0)


def _set_provider(connection: Connection, event: Any, **row: Any) -> None:
    set_row(connection, t.providers, {"provider": event.provider}, **row)
