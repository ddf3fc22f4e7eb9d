"""Chain events folded into the tables that the API reads. Called in chain order, once per event,
within the transaction that stores the event. Providers are in `derive_providers`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, insert, select

from commonweal.protocol import events as ev
from commonweal.protocol.batches import opened_entries
from commonweal.protocol.bitmaps import unpack_bitmap
from commonweal.protocol.commitments import (
    unpack_ballots,
    unpack_entries,
    unpack_scores,
    unpack_seats,
    unpack_shares,
)
from commonweal.protocol.rewards import unpack_payments
from commonweal.protocol.types import Phase
from service import derive_providers  # noqa: F401 - registers its handlers
from service import tables as t
from service.eventjson import encode_fields, name_of
from service.rows import HANDLERS, Row, add_to_row, get_row, handles, matches, set_row


def derive(connection: Connection, event: ev.ChainEvent) -> None:
    """Events that no table shows are passed over."""
    if handler := HANDLERS.get(type(event)):
        handler(connection, event)


def forget(connection: Connection) -> None:
    """Empty every derived table, to be rebuilt from the events that are kept."""
    for table in t.DERIVED:
        connection.execute(delete(table))


# Jobs and members


@handles
def _job_created(connection: Connection, event: ev.JobCreated) -> None:
    row = {
        "job": event.job,
        "requester": event.requester,
        "state": "recruiting",
        "spec_digest": event.spec_digest,
        "parameters_version": event.parameters_version,
        "parameters": encode_fields(event.parameters),
        "deposit": event.escrow,
        "escrow": event.escrow,
        "refunded": 0,
        "quantum": event.quantum,
        "finalised_rounds": 0,
        "failed_rounds": 0,
        "created_block": event.ref.block_number,
        "created_at": event.ref.timestamp,
    }
    connection.execute(insert(t.jobs).values(row))


@handles
def _job_state_changed(connection: Connection, event: ev.JobStateChanged) -> None:
    set_row(connection, t.jobs, {"job": event.job}, state=name_of(event.state))


@handles
def _member_joined(connection: Connection, event: ev.MemberJoined) -> None:
    key = {"job": event.job, "member": event.member}
    row = {
        "provider": event.provider,
        "operator": event.operator,
        "roles": int(event.roles),
        "stake": event.stake,
        "active": True,
    }
    if get_row(connection, t.members, key):  # came back: keeps its index and what it has earned
        set_row(connection, t.members, key, **row)
    else:
        connection.execute(insert(t.members).values({**key, **row, "earned": 0}))


@handles
def _member_left(connection: Connection, event: ev.MemberLeft) -> None:
    key = {"job": event.job, "member": event.member}
    set_row(connection, t.members, key, active=False, stake=0)


@handles
def _operator_refreshed(connection: Connection, event: ev.MemberOperatorRefreshed) -> None:
    key = {"job": event.job, "member": event.member}
    set_row(connection, t.members, key, operator=event.operator)


@handles
def _round_settled(connection: Connection, event: ev.RoundSettled) -> None:
    key = {"job": event.job}
    quantum = get_row(connection, t.jobs, key)["quantum"]
    add_to_row(connection, t.jobs, key, escrow=-event.spent)
    row = {"fee": event.fee, "fee_recipient": event.fee_recipient, "spent": event.spent}
    set_row(connection, t.rounds, {**key, "round": event.round}, **row)
    for member, units in unpack_payments(event.payments):
        amount = units * quantum
        payment = {**key, "round": event.round, "member": member, "amount": amount}
        connection.execute(insert(t.payments).values(payment))
        add_to_row(connection, t.members, {**key, "member": member}, earned=amount)


@handles
def _reward_claimed(connection: Connection, event: ev.RewardClaimed) -> None:
    row = {
        "block_number": event.ref.block_number,
        "log_index": event.ref.log_index,
        "provider": event.provider,
        "job": event.job,
        "amount": event.amount,
    }
    connection.execute(insert(t.claims).values(row))


@handles
def _escrow_refunded(connection: Connection, event: ev.EscrowRefunded) -> None:
    changes = {"escrow": -event.amount, "refunded": event.amount}
    add_to_row(connection, t.jobs, {"job": event.job}, **changes)


# Rounds


@handles
def _round_opened(connection: Connection, event: ev.RoundOpened) -> None:
    row = {
        "job": event.job,
        "round": event.round,
        "state": "open",
        "phase": name_of(Phase.COMMIT),
        "ends_at": event.ends_at,
        "parent_model": event.parent_model,
        "committee": [],
        "fee": 0,
        "spent": 0,
        "unrevealed": [],
        "absent": [],
        "opened_at": event.ref.timestamp,
    }
    connection.execute(insert(t.rounds).values(row))


@handles
def _phase_started(connection: Connection, event: ev.PhaseStarted) -> None:
    _set_round(connection, event, phase=name_of(event.phase), ends_at=event.ends_at)


@handles
def _updates_committed(connection: Connection, event: ev.UpdatesCommitted) -> None:
    rows = [
        {**_round_key(event), "member": member, "batch": event.batch, "commitment": commitment}
        for member, commitment in unpack_entries(event.entries)
    ]
    connection.execute(insert(t.updates), rows)


@handles
def _committee_drawn(connection: Connection, event: ev.CommitteeDrawn) -> None:
    _set_round(connection, event, seed=event.seed, committee=list(event.members))
    rows = [
        {**_round_key(event), "seat": seat, "member": member}
        for seat, member in enumerate(event.members)
    ]
    if rows:
        connection.execute(insert(t.ballots), rows)


@handles
def _updates_revealed(connection: Connection, event: ev.UpdatesRevealed) -> None:
    for member, digest in opened_entries(event):
        set_row(connection, t.updates, {**_round_key(event), "member": member}, digest=digest)


@handles
def _ballots_committed(connection: Connection, event: ev.BallotsCommitted) -> None:
    for seat, commitment in zip(unpack_seats(event.seats), event.commitments, strict=True):
        _set_seat(connection, event, seat, commitment=commitment)


@handles
def _ballots_revealed(connection: Connection, event: ev.BallotsRevealed) -> None:
    for seat, ballot, _ in unpack_ballots(event.seats, event.ballots, event.salts):
        _set_seat(connection, event, seat, ballot=ballot)


@handles
def _round_tallied(connection: Connection, event: ev.RoundTallied) -> None:
    columns = t.updates.c
    revealed = connection.scalars(
        select(columns.member)
        .where(matches(t.updates, _round_key(event)), columns.digest.is_not(None))
        .order_by(columns.member)
    ).all()
    for member, score in zip(revealed, unpack_scores(event.scores), strict=True):
        set_row(connection, t.updates, {**_round_key(event), "member": member}, score=score)
    for seat, share in enumerate(unpack_shares(event.shares)):
        _set_seat(connection, event, seat, share_bps=share)


@handles
def _model_attested(connection: Connection, event: ev.ModelAttested) -> None:
    for seat in unpack_seats(event.seats):
        _set_seat(connection, event, seat, attested=event.model_digest)


@handles
def _round_finalised(connection: Connection, event: ev.RoundFinalised) -> None:
    row = {"state": "finalised", "phase": "none", "closed_at": event.ref.timestamp}
    found = {"model": event.model_digest, "verdict_root": event.verdict_root}
    _set_round(connection, event, **row, **found)
    add_to_row(connection, t.jobs, {"job": event.job}, finalised_rounds=1)


@handles
def _round_failed(connection: Connection, event: ev.RoundFailed) -> None:
    row = {"state": "failed", "phase": "none", "closed_at": event.ref.timestamp}
    _set_round(connection, event, **row, failure=name_of(event.reason))
    add_to_row(connection, t.jobs, {"job": event.job}, failed_rounds=1)


@handles
def _absence_recorded(connection: Connection, event: ev.AbsenceRecorded) -> None:
    _set_round(connection, event, absent=sorted(unpack_bitmap([event.seats])))


@handles
def _unrevealed_recorded(connection: Connection, event: ev.UnrevealedRecorded) -> None:
    _set_round(connection, event, unrevealed=sorted(unpack_bitmap(event.bitmap)))


@handles
def _fault_proven(connection: Connection, event: ev.FaultProven) -> None:
    row = {
        **_round_key(event),
        "member": event.member,
        "fault": name_of(event.fault),
        "provider": event.provider,
        "slash": event.slash,
    }
    connection.execute(insert(t.faults).values(row))


def _round_key(event: Any) -> Row:
    return {"job": event.job, "round": event.round}


def _set_round(connection: Connection, event: Any, **row: Any) -> None:
    set_row(connection, t.rounds, _round_key(event), **row)


def _set_seat(connection: Connection, event: Any, seat: int, **row: Any) -> None:
    set_row(connection, t.ballots, {**_round_key(event), "seat": seat}, **row)
