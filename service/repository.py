"""Reads of the indexed chain for the API and the relay. Nothing is written here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Engine,
    Label,
    Row,
    RowMapping,
    Select,
    Text,
    cast,
    func,
    or_,
    select,
)

from commonweal.errors import NotFound
from commonweal.protocol.batches import RoundRecord, collect_round
from commonweal.protocol.types import SCORE_MAX, Address, JobParameters, Wei
from service import tables as t
from service.chainstore import decode_row
from service.eventjson import encode_fields, from_hex
from service.proofs import prove_verdicts

_MISSES = ("absent", "unavailable-update")
LIVE_STATES = ("recruiting", "running", "cancelling")
Rows = Sequence[RowMapping]


class JobUnknown(NotFound):
    code = "job-unknown"


class RoundUnknown(NotFound):
    code = "round-unknown"


class ProviderUnknown(NotFound):
    code = "provider-unknown"


def _changed_at(job: ColumnElement[int], round_: ColumnElement[int] | None = None) -> Label[int]:
    """The block of the latest event of a job, or of one of its rounds."""
    columns = t.events.c
    query = select(columns.block_number).where(columns.job == job)
    if round_ is not None:
        query = query.where(columns.round == round_)
    latest = query.order_by(columns.id.desc()).limit(1)
    return latest.scalar_subquery().label("changed_at")


_JOBS = select(t.jobs, _changed_at(t.jobs.c.job))
_ROUNDS = select(t.rounds, _changed_at(t.rounds.c.job, t.rounds.c.round))


class Repository:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # For the relay and the keeper

    def fetch_live_jobs(self) -> list[int]:
        query = select(t.jobs.c.job).where(t.jobs.c.state.in_(LIVE_STATES))
        with self._engine.connect() as connection:
            return list(connection.scalars(query))

    def find_created_job(
        self, requester: Address, parameters: JobParameters, escrow: Wei
    ) -> dict[str, Any] | None:
        """Job, tx and block number of the first of these terms that no offer here has made."""
        jobs, created = t.jobs.c, t.events.c
        claimed = select(t.offers.c.job).where(t.offers.c.job.is_not(None))
        query = (
            select(jobs.job, jobs.parameters, created.tx_hash.label("tx"), created.block_number)
            .join_from(t.jobs, t.events, created.job == jobs.job)
            .where(jobs.requester == requester, jobs.deposit == escrow)
            .where(created.name == "JobCreated", jobs.job.not_in(claimed))
        )
        terms = encode_fields(parameters)
        rows = self._all(query.order_by(jobs.job))
        names = ("job", "tx", "block_number")
        same = ({name: row[name] for name in names} for row in rows if row["parameters"] == terms)
        return next(same, None)

    def fetch_record(self, job: int, round_: int) -> RoundRecord:
        """What the events say of one round; empty for a round that has none."""
        columns = t.events.c
        query = (
            select(t.events)
            .where(columns.job == job, columns.round == round_)
            .order_by(columns.block_number, columns.log_index)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return collect_round((decode_row(row) for row in rows), job, round_)

    def fetch_due_slashes(self, now: int) -> list[int]:
        columns = t.slashes.c
        due = select(columns.slash).where(columns.settled.is_(False), columns.settleable_at <= now)
        with self._engine.connect() as connection:
            return list(connection.scalars(due))

    def fetch_faulty_rounds(self) -> Rows:
        """Rounds in which a deadline found somebody missing."""
        columns = (t.rounds.c.unrevealed, t.rounds.c.absent)
        found = or_(*(cast(column, Text) != "[]" for column in columns))
        return self._all(select(t.rounds).where(found))

    def fetch_condemned(self) -> Rows:
        """Updates found invalid or unavailable, in rounds whose verdict root is on chain."""
        same_round = (t.rounds.c.job == t.updates.c.job) & (t.rounds.c.round == t.updates.c.round)
        query = select(t.updates).join(t.rounds, same_round)
        return self._all(
            query.where(t.rounds.c.state == "finalised", t.updates.c.score > SCORE_MAX)
        )

    def fetch_faults(self) -> Rows:
        return self._all(select(t.faults))

    def fetch_ended_misses(self) -> Rows:
        """The first good update after the last missed duty of a member whose row nobody ended."""
        faults, providers, updates, rounds = t.faults.c, t.providers.c, t.updates.c, t.rounds.c
        last = select(faults.job, faults.member, func.max(faults.round).label("round"))
        last = last.join(t.providers, providers.provider == faults.provider)
        last = last.where(faults.fault.in_(_MISSES), providers.missed_duties > 0)
        miss = last.group_by(faults.job, faults.member).subquery()
        query = select(updates.job, updates.member, func.min(updates.round).label("round"))
        query = query.join(t.rounds, (rounds.job == updates.job) & (rounds.round == updates.round))
        query = query.join(
            miss, (miss.c.job == updates.job) & (miss.c.member == updates.member)
        ).where(rounds.state == "finalised", updates.score <= SCORE_MAX)
        query = query.where(updates.round > miss.c.round)
        return self._all(query.group_by(updates.job, updates.member))

    def fetch_named_digests(self) -> set[bytes]:
        """Of every manifest that the chain names: job specs, models and revealed updates."""
        updates, rounds, ballots = t.updates.c.digest, t.rounds.c, t.ballots.c.attested
        columns = (t.jobs.c.spec_digest, rounds.parent_model, rounds.model, updates, ballots)
        with self._engine.connect() as connection:
            named = {
                bytes(digest)
                for column in columns
                for digest in connection.scalars(select(column).where(column.is_not(None)))
            }
            initial = connection.scalars(select(t.jobs.c.parameters["initial_model"].as_string()))
            return named | {from_hex(digest) for digest in initial}

    def has_event(self, name: str, job: int) -> bool:
        query = select(t.events.c.id).where(t.events.c.name == name, t.events.c.job == job).limit(1)
        with self._engine.connect() as connection:
            return connection.scalar(query) is not None

    # For admission

    def find_owner(self, account: str) -> Address | None:
        """Of the provider that has this owner or operator."""
        columns = t.providers.c
        query = select(columns.provider).where(
            or_(columns.provider == account, columns.operator == account)
        )
        with self._engine.connect() as connection:
            found = connection.scalar(query.order_by(columns.provider).limit(1))
        return None if found is None else Address(found)

    def has_job_of(self, requester: str) -> bool:
        query = select(t.jobs.c.job).where(t.jobs.c.requester == requester).limit(1)
        with self._engine.connect() as connection:
            return connection.scalar(query) is not None

    # For the API

    def fetch_jobs(self, state: str | None, before: int | None, limit: int) -> Rows:
        """Newest first."""
        query = _JOBS
        if state is not None:
            query = query.where(t.jobs.c.state == state)
        if before is not None:
            query = query.where(t.jobs.c.job < before)
        return self._all(query.order_by(t.jobs.c.job.desc()).limit(limit))

    def fetch_job(self, job: int) -> RowMapping:
        """Raises JobUnknown."""
        found = self._all(_JOBS.where(t.jobs.c.job == job))
        if not found:
            raise JobUnknown(f"there is no job {job}", job=job)
        return found[0]

    def count_members(self, job: int) -> int:
        query = select(func.count()).select_from(t.members).where(t.members.c.job == job)
        with self._engine.connect() as connection:
            return connection.scalar(query) or 0

    def fetch_members(self, job: int, after: int | None, limit: int) -> Rows:
        query = select(t.members).where(t.members.c.job == job)
        return self._page(query, t.members.c.member, after, limit)

    def fetch_rounds(self, job: int, after: int | None, limit: int) -> Rows:
        query = _ROUNDS.where(t.rounds.c.job == job)
        return self._page(query, t.rounds.c.round, after, limit)

    def fetch_round(self, job: int, round_: int) -> RowMapping:
        """Raises JobUnknown, RoundUnknown."""
        self.fetch_job(job)
        query = _ROUNDS.where(t.rounds.c.job == job, t.rounds.c.round == round_)
        if not (found := self._all(query)):
            message = f"job {job} has no round {round_}"
            raise RoundUnknown(message, job=job, round=round_)
        return found[0]

    def fetch_ballots(self, job: int, round_: int) -> Rows:
        columns = t.ballots.c
        query = select(t.ballots).where(columns.job == job, columns.round == round_)
        return self._all(query.order_by(columns.seat))

    def fetch_updates(self, job: int, round_: int) -> Rows:
        """All of a round, members ascending, each with its trainer's address."""
        updates, members = t.updates.c, t.members.c
        same = (members.job == updates.job) & (members.member == updates.member)
        query = (
            select(t.updates, members.provider.label("trainer"))
            .join(t.members, same)
            .where(updates.job == job, updates.round == round_)
        )
        return self._all(query.order_by(updates.member))

    def prove_verdicts(self, job: int, round_: int) -> dict[int, tuple[bytes, ...]]:
        """Of a finalised round, by member. Raises JobUnknown, RoundUnknown."""
        updates, ballots = self.fetch_updates(job, round_), self.fetch_ballots(job, round_)
        return prove_verdicts(self.fetch_round(job, round_), ballots, updates)

    def fetch_models(self, job: int, after: int | None, limit: int) -> Rows:
        query = _ROUNDS.where(t.rounds.c.job == job, t.rounds.c.model.is_not(None))
        return self._page(query, t.rounds.c.round, after, limit)

    def fetch_payments(self, job: int, after: tuple[int, int] | None, limit: int) -> Rows:
        """Ordered by round, then member."""
        payments, members = t.payments.c, t.members.c
        same = (members.job == payments.job) & (members.member == payments.member)
        query = select(t.payments, members.provider, _changed_at(payments.job, payments.round))
        query = query.join(t.members, same)
        query = query.where(payments.job == job)
        if after is not None:
            later = (payments.round == after[0]) & (payments.member > after[1])
            query = query.where((payments.round > after[0]) | later)
        return self._all(query.order_by(payments.round, payments.member).limit(limit))

    def fetch_providers(self, after: str | None, limit: int) -> Rows:
        return self._page(select(t.providers), t.providers.c.provider, after, limit)

    def fetch_provider(self, address: str) -> RowMapping:
        """Raises ProviderUnknown."""
        found = self._all(select(t.providers).where(t.providers.c.provider == address))
        if not found:
            message = f"nobody registered under {address}"
            raise ProviderUnknown(message, provider=address)
        return found[0]

    def fetch_memberships(self, address: str) -> Rows:
        query = select(t.members).where(t.members.c.provider == address)
        return self._all(query.order_by(t.members.c.job))

    def fetch_claims(self, address: str) -> Rows:
        return self._all(select(t.claims).where(t.claims.c.provider == address))

    def fetch_slashes(self, address: str) -> Rows:
        return self._all(select(t.slashes).where(t.slashes.c.provider == address))

    def fetch_events(self, job: int, after: int, limit: int) -> Sequence[Row[Any]]:
        columns = t.events.c
        query = select(t.events).where(columns.job == job, columns.id > after)
        with self._engine.connect() as connection:
            return connection.execute(query.order_by(columns.id).limit(limit)).all()

    def _page(
        self, query: Select[Any], key: ColumnElement[Any], after: int | str | None, limit: int
    ) -> Rows:
        if after is not None:
            query = query.where(key > after)
        return self._all(query.order_by(key).limit(limit))

    def _all(self, query: Select[Any]) -> Rows:
        with self._engine.connect() as connection:
            return connection.execute(query).mappings().all()
