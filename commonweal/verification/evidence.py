"""What the chain says of one job, gathered round by round. Nothing is judged here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from commonweal.protocol import events as ev
from commonweal.protocol.commitments import (
    unpack_ballots,
    unpack_entries,
    unpack_seats,
)
from commonweal.protocol.committee import compute_weight
from commonweal.protocol.types import ABANDONED_AFTER, Address, Digest, Job, Member, Role, Wei


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything verification reads from the chain, as of one block."""

    chain_id: int
    rounds_contract: Address
    block: int
    events: tuple[ev.ChainEvent, ...]  # of the job, in chain order
    randaos: Mapping[int, bytes]  # of the seed blocks
    job: Job
    members: tuple[Member, ...]
    models: Mapping[int, Digest]  # what the ledger answers, by finalised round
    verdict_roots: Mapping[int, bytes]
    overturned: frozenset[int]  # rounds whose models appeals found wrong
    fee_grace: int  # seconds from the tally in which the fee is the coordinator's


@dataclass(slots=True)
class RoundRecord:
    """The events of one round. A reveal is (batch, members, opened bits, openings)."""

    round: int
    opened: ev.RoundOpened | None = None
    batches: dict[int, tuple[tuple[int, bytes], ...]] = field(default_factory=dict)
    seed_block: int | None = None
    validators: tuple[tuple[int, int], ...] = ()  # (member, weight) when the committee was drawn
    drawn: ev.CommitteeDrawn | None = None
    reveals: list[ev.UpdatesRevealed] = field(default_factory=list)
    ballot_commitments: dict[int, bytes] = field(default_factory=dict)
    ballots: list[tuple[int, bytes, bytes]] = field(default_factory=list)  # seat, ballot, salt
    tallied: ev.RoundTallied | None = None
    attested: dict[Digest, set[int]] = field(default_factory=dict)
    settled: ev.RoundSettled | None = None
    recorded: ev.ModelRecorded | None = None
    finalised: ev.RoundFinalised | None = None
    failed: ev.RoundFailed | None = None
    ends_at: int = 0  # deadline of the last phase seen

    @property
    def is_abandoned(self) -> bool:
        return (
            self.failed is not None and self.failed.ref.timestamp >= self.ends_at + ABANDONED_AFTER
        )

    @property
    def committee(self) -> tuple[int, ...]:
        return self.drawn.members if self.drawn else ()

    @property
    def committed(self) -> int:
        return sum(len(entries) for entries in self.batches.values())


@dataclass(slots=True)
class JobRecord:
    created: ev.JobCreated | None = None
    providers: dict[int, Address] = field(default_factory=dict)  # by member
    rounds: dict[int, RoundRecord] = field(default_factory=dict)
    claimed: dict[Address, int] = field(default_factory=dict)  # wei
    refunded: int = 0
    refunded_to: set[Address] = field(default_factory=set)
    state: ev.JobStateChanged | None = None
    _stakes: dict[int, Wei] = field(default_factory=dict)  # active validators

    def at(self, round_: int) -> RoundRecord:
        return self.rounds.setdefault(round_, RoundRecord(round_))


def gather(events: Iterable[ev.ChainEvent]) -> JobRecord:
    record = JobRecord()
    for event in events:
        _add(record, event)
    return record


def _add(record: JobRecord, event: ev.ChainEvent) -> None:
    match event:
        case ev.JobCreated():
            record.created = event
        case ev.JobStateChanged():
            record.state = event
        case ev.MemberJoined():
            record.providers[event.member] = event.provider
            if event.roles & Role.VALIDATOR:
                record._stakes[event.member] = event.stake
        case ev.MemberLeft():
            record._stakes.pop(event.member, None)
        case ev.RewardClaimed():
            record.claimed[event.provider] = record.claimed.get(event.provider, 0) + event.amount
        case ev.EscrowRefunded():
            record.refunded += event.amount
            record.refunded_to.add(event.requester)
        case _:
            _add_to_round(record, event)


def _add_to_round(record: JobRecord, event: ev.ChainEvent) -> None:
    match event:
        case ev.RoundOpened():
            record.at(event.round).opened = event
            record.at(event.round).ends_at = event.ends_at
        case ev.PhaseStarted():
            record.at(event.round).ends_at = event.ends_at
        case ev.UpdatesCommitted():
            record.at(event.round).batches[event.batch] = unpack_entries(event.entries)
        case ev.SeedBlockFixed():
            record.at(event.round).seed_block = event.seed_block
        case ev.CommitteeDrawn():
            round_ = record.at(event.round)
            round_.drawn = event
            stakes = sorted(record._stakes.items())
            round_.validators = tuple((member, compute_weight(stake)) for member, stake in stakes)
        case ev.UpdatesRevealed():
            record.at(event.round).reveals.append(event)
        case ev.BallotsCommitted():
            seats = unpack_seats(event.seats)
            pairs = zip(seats, event.commitments, strict=True)
            record.at(event.round).ballot_commitments.update(pairs)
        case ev.BallotsRevealed():
            openings = unpack_ballots(event.seats, event.ballots, event.salts)
            record.at(event.round).ballots.extend(openings)
        case _:
            _add_outcome(record, event)


def _add_outcome(record: JobRecord, event: ev.ChainEvent) -> None:
    match event:
        case ev.RoundTallied():
            record.at(event.round).tallied = event
        case ev.ModelAttested():
            seats = record.at(event.round).attested.setdefault(event.model_digest, set())
            seats.update(unpack_seats(event.seats))
        case ev.RoundSettled():
            record.at(event.round).settled = event
        case ev.ModelRecorded():
            record.at(event.round).recorded = event
        case ev.RoundFinalised():
            record.at(event.round).finalised = event
        case ev.RoundFailed():
            record.at(event.round).failed = event
        case _:
            pass
