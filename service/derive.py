"""Chain events folded into the tables that the API reads. Called in chain order, once per event,
with the draft of the transaction that stores the event. Providers are in `derive_providers`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete

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
from service.rows import HANDLERS, Draft, Row, handles


def derive(draft: Draft, event: ev.ChainEvent) -> None:
    """Events that no table shows are passed over."""
    if handler := HANDLERS.get(type(event)):
        handler(draft, event)


def forget(connection: Connection) -> None:
    """Empty every derived table, to be rebuilt from the events that are kept."""
    for table in t.DERIVED:
        connection.execute(delete(table))


# Jobs and members


@handles
def _job_created(draft: Draft, event: ev.JobCreated) -> None:
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
    draft.insert(t.jobs, row)
    for table in (t.members, t.rounds):
        draft.expect_none(table, {"job": event.job})


@handles
def _job_state_changed(draft: Draft, event: ev.JobStateChanged) -> None:
    draft.set(t.jobs, {"job": event.job}, state=name_of(event.state))


@handles
def _member_joined(draft: Draft, event: ev.MemberJoined) -> None:
    key = {"job": event.job, "member": event.member}
    row = {
        "provider": event.provider,
        "operator": event.operator,
        "roles": int(event.roles),
        "stake": event.stake,
        "active": True,
    }
    if draft.get(t.members, key):  # came back: keeps its index and what it has earned
        draft.set(t.members, key, **row)
    else:
        draft.insert(t.members, {**key, **row, "earned": 0})


@handles
def _member_left(draft: Draft, event: ev.MemberLeft) -> None:
    key = {"job": event.job, "member": event.member}
    draft.set(t.members, key, active=False, stake=0)


@handles
def _operator_refreshed(draft: Draft, event: ev.MemberOperatorRefreshed) -> None:
    key = {"job": event.job, "member": event.member}
    draft.set(t.members, key, operator=event.operator)


@handles
def _round_settled(draft: Draft, event: ev.RoundSettled) -> None:
    key = {"job": event.job}
    quantum = draft.get(t.jobs, key)["quantum"]
    draft.add(t.jobs, key, escrow=-event.spent)
    row = {"fee": event.fee, "fee_recipient": event.fee_recipient, "spent": event.spent}
    draft.set(t.rounds, {**key, "round": event.round}, **row)
    draft.load(t.members, key)
    for member, units in unpack_payments(event.payments):
        amount = units * quantum
        payment = {**key, "round": event.round, "member": member, "amount": amount}
        draft.insert(t.payments, payment)
        draft.add(t.members, {**key, "member": member}, earned=amount)


@handles
def _reward_claimed(draft: Draft, event: ev.RewardClaimed) -> None:
    row = {
        "block_number": event.ref.block_number,
        "log_index": event.ref.log_index,
        "provider": event.provider,
        "job": event.job,
        "amount": event.amount,
    }
    draft.insert(t.claims, row)


@handles
def _escrow_refunded(draft: Draft, event: ev.EscrowRefunded) -> None:
    changes = {"escrow": -event.amount, "refunded": event.amount}
    draft.add(t.jobs, {"job": event.job}, **changes)


# Rounds


@handles
def _round_opened(draft: Draft, event: ev.RoundOpened) -> None:
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
    draft.insert(t.rounds, row)
    for table in (t.updates, t.ballots):
        draft.expect_none(table, _round_key(event))


@handles
def _phase_started(draft: Draft, event: ev.PhaseStarted) -> None:
    _set_round(draft, event, phase=name_of(event.phase), ends_at=event.ends_at)


@handles
def _updates_committed(draft: Draft, event: ev.UpdatesCommitted) -> None:
    for member, commitment in unpack_entries(event.entries):
        row = {"member": member, "batch": event.batch, "commitment": commitment}
        draft.insert(t.updates, {**_round_key(event), **row})


@handles
def _committee_drawn(draft: Draft, event: ev.CommitteeDrawn) -> None:
    _set_round(draft, event, seed=event.seed, committee=list(event.members))
    for seat, member in enumerate(event.members):
        draft.insert(t.ballots, {**_round_key(event), "seat": seat, "member": member})


@handles
def _updates_revealed(draft: Draft, event: ev.UpdatesRevealed) -> None:
    draft.load(t.updates, _round_key(event))
    for member, digest in opened_entries(event):
        draft.set(t.updates, {**_round_key(event), "member": member}, digest=digest)


@handles
def _ballots_committed(draft: Draft, event: ev.BallotsCommitted) -> None:
    draft.load(t.ballots, _round_key(event))
    for seat, commitment in zip(unpack_seats(event.seats), event.commitments, strict=True):
        _set_seat(draft, event, seat, commitment=commitment)


@handles
def _ballots_revealed(draft: Draft, event: ev.BallotsRevealed) -> None:
    draft.load(t.ballots, _round_key(event))
    for seat, ballot, _ in unpack_ballots(event.seats, event.ballots, event.salts):
        _set_seat(draft, event, seat, ballot=ballot)


@handles
def _round_tallied(draft: Draft, event: ev.RoundTallied) -> None:
    updates = draft.load(t.updates, _round_key(event))
    revealed = [row["member"] for row in updates if row["digest"] is not None]
    for member, score in zip(revealed, unpack_scores(event.scores), strict=True):
        draft.set(t.updates, {**_round_key(event), "member": member}, score=score)
    draft.load(t.ballots, _round_key(event))
    for seat, share in enumerate(unpack_shares(event.shares)):
        _set_seat(draft, event, seat, share_bps=share)


@handles
def _model_attested(draft: Draft, event: ev.ModelAttested) -> None:
    draft.load(t.ballots, _round_key(event))
    for seat in unpack_seats(event.seats):
        _set_seat(draft, event, seat, attested=event.model_digest)


@handles
def _round_finalised(draft: Draft, event: ev.RoundFinalised) -> None:
    row = {"state": "finalised", "phase": "none", "closed_at": event.ref.timestamp}
    found = {"model": event.model_digest, "verdict_root": event.verdict_root}
    _set_round(draft, event, **row, **found)
    draft.add(t.jobs, {"job": event.job}, finalised_rounds=1)


@handles
def _round_failed(draft: Draft, event: ev.RoundFailed) -> None:
    row = {"state": "failed", "phase": "none", "closed_at": event.ref.timestamp}
    _set_round(draft, event, **row, failure=name_of(event.reason))
    draft.add(t.jobs, {"job": event.job}, failed_rounds=1)


@handles
def _absence_recorded(draft: Draft, event: ev.AbsenceRecorded) -> None:
    _set_round(draft, event, absent=sorted(unpack_bitmap([event.seats])))


@handles
def _unrevealed_recorded(draft: Draft, event: ev.UnrevealedRecorded) -> None:
    _set_round(draft, event, unrevealed=sorted(unpack_bitmap(event.bitmap)))


@handles
def _fault_proven(draft: Draft, event: ev.FaultProven) -> None:
    row = {
        **_round_key(event),
        "member": event.member,
        "fault": name_of(event.fault),
        "provider": event.provider,
        "slash": event.slash,
    }
    draft.insert(t.faults, row)


def _round_key(event: Any) -> Row:
    return {"job": event.job, "round": event.round}


def _set_round(draft: Draft, event: Any, **row: Any) -> None:
    draft.set(t.rounds, _round_key(event), **row)


def _set_seat(draft: Draft, event: Any, seat: int, **row: Any) -> None:
    draft.set(t.ballots, {**_round_key(event), "seat": seat}, **row)
