"""Reads for the web page: sums over the network, whole histories in columns, the event log.

Written for 1,000 providers × 500 rounds: no read returns a row per trainer and round unless it is
asked for a bounded band of rounds. Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, RowMapping, Select, case, func, select

from commonweal.protocol.types import SCORE_INVALID, SCORE_MAX, SCORE_UNAVAILABLE, Role
from service import tables as t
from service.eventjson import from_hex

Rows = Sequence[RowMapping]
_PAST_REVEAL = ("none", "ballot-commit", "ballot-reveal", "attest")

# One cell of the matrix of trainers × rounds.
ABSENT, COMMITTED, REVEALED, REJECTED, VERIFIED, UNAVAILABLE, INVALID, UNREVEALED = range(8)


@dataclass(frozen=True, slots=True)
class Cells:
    """A band of the matrix, members ascending within each round, from round `first` on."""

    first: int
    states: NDArray[np.uint8]  # (rounds, members)
    scores: NDArray[np.uint16]  # (rounds, members), 0 where nothing is tallied


@dataclass(frozen=True, slots=True)
class Tally:
    """What one round's scores come to."""

    verified: int
    rejected: int
    unavailable: int
    invalid: int
    revealed: int  # all of these
    median_score: float | None  # of the verified


class History:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # The network

    def count_jobs(self) -> dict[str, int]:
        """By state."""
        columns = t.jobs.c
        return _as_dict(self._tuples(_count_by(columns.state)))

    def count_rounds(self) -> dict[str, int]:
        """By state."""
        return _as_dict(self._tuples(_count_by(t.rounds.c.state)))

    def count_providers(self, now: int) -> dict[str, int]:
        columns = t.providers.c
        query = select(
            func.count().label("registered"),
            func.coalesce(func.sum(_has(Role.TRAINER)), 0).label("trainers"),
            func.coalesce(func.sum(_has(Role.VALIDATOR)), 0).label("validators"),
            func.coalesce(func.sum(case((columns.jailed_until > now, 1), else_=0)), 0).label(
                "jailed"
            ),
        )
        return {name: int(count) for name, count in self._all(query)[0].items()}

    def sum_stakes(self) -> dict[str, int]:
        """Wei, by where it stands. Summed here: money does not fit a database's integers."""
        columns = t.providers.c
        query = select(columns.free, columns.locked, columns.unbonding, columns.slashed)
        return _sum_columns(self._all(query), ("free", "locked", "unbonding", "slashed"))

    def sum_money(self) -> dict[str, int]:
        """Wei: deposited = escrow + refunded + earned + fees; claimed is a part of earned."""
        jobs = select(t.jobs.c.deposit, t.jobs.c.escrow, t.jobs.c.refunded)
        sums = _sum_columns(self._all(jobs), ("deposit", "escrow", "refunded"))
        fees = sum(row[0] for row in self._tuples(select(t.rounds.c.fee)))
        claimed = sum(row[0] for row in self._tuples(select(t.claims.c.amount)))
        spent = sums["deposit"] - sums["escrow"] - sums["refunded"]
        return {
            "deposited": sums["deposit"],
            "escrow": sums["escrow"],
            "refunded": sums["refunded"],
            "earned": spent - fees,
            "fees": fees,
            "claimed": claimed,
        }

    # One job

    def fetch_rounds(self, job: int) -> Rows:
        """All, without their members."""
        c = t.rounds.c
        columns = (c.round, c.state, c.phase, c.failure, c.opened_at, c.closed_at, c.spent)
        return self._all(select(*columns).where(c.job == job).order_by(c.round))

    def count_committed(self, job: int) -> dict[int, int]:
        """By round. Of 500,000 updates: answered from the primary key's index alone."""
        c = t.updates.c
        query = select(c.round, func.count()).where(c.job == job).group_by(c.round)
        return _as_dict(self._tuples(query))

    def count_revealed(self, job: int, rounds: Sequence[int]) -> dict[int, int]:
        """By round, of the few rounds that have no tally to tell it."""
        c = t.updates.c
        query = select(c.round, func.count(c.digest)).where(c.job == job, c.round.in_(rounds))
        return _as_dict(self._tuples(query.group_by(c.round)))

    def fetch_tallies(self, job: int) -> dict[int, Tally]:
        """By round, from the tally events: one packed row a round."""
        c = t.events.c
        query = select(c.round, c.data).where(c.job == job, c.name == "RoundTallied")
        return {
            round_: tally_scores(from_hex(data["scores"])) for round_, data in self._tuples(query)
        }

    def fetch_trainers(self, job: int) -> list[str]:
        """Addresses by member index; "" where an index is missing."""
        c = t.members.c
        rows = self._tuples(select(c.member, c.provider).where(c.job == job))
        found = {member: str(provider) for member, provider in rows}
        return [found.get(member, "") for member in range(max(found, default=-1) + 1)]

    def fetch_cells(self, job: int, first: int, last: int) -> Cells:
        """Rounds `first` to `last`, both included; the caller bounds how many."""
        c, r = t.updates.c, t.rounds.c
        band = select(c.round, c.member, c.digest.is_not(None), c.score)
        rows = self._tuples(band.where(c.job == job, c.round >= first, c.round <= last))
        phases = select(r.round, r.phase).where(r.job == job, r.round >= first, r.round <= last)
        return _fill(first, last, len(self.fetch_trainers(job)), rows, self._tuples(phases))

    def fetch_sample(self, job: int, round_: int, members: Sequence[int]) -> list[bytes]:
        """Digests of these members' updates: verified ones if tallied, else revealed ones."""
        c = t.updates.c
        query = select(c.digest).where(c.job == job, c.round == round_, c.member.in_(members))
        query = query.where(c.digest.is_not(None))
        query = query.where(c.score.is_(None) | c.score.between(1, SCORE_MAX))
        return [bytes(row[0]) for row in self._tuples(query.order_by(c.member))]

    # The log

    def fetch_log(self, job: int, round_: int | None, before: int | None, limit: int) -> Rows:
        """Newest first."""
        c = t.events.c
        query = select(t.events).where(c.job == job)
        if round_ is not None:
            query = query.where(c.round == round_)
        if before is not None:
            query = query.where(c.id < before)
        return self._all(query.order_by(c.id.desc()).limit(limit))

    def fetch_transaction(self, tx: bytes, block: int, limit: int) -> Rows:
        c = t.events.c
        query = select(t.events).where(c.block_number == block, c.tx_hash == tx)
        return self._all(query.order_by(c.log_index).limit(limit))

    def fetch_changes(self, after: int, limit: int) -> Rows:
        """(id, block_number, name, job, round) of what was indexed since."""
        c = t.events.c
        query = select(c.id, c.block_number, c.name, c.job, c.round).where(c.id > after)
        return self._all(query.order_by(c.id).limit(limit))

    def fetch_last_id(self) -> int:
        return int(self._tuples(select(func.coalesce(func.max(t.events.c.id), 0)))[0][0])

    # One provider

    def fetch_earnings(self, provider: str, before: int | None, limit: int) -> Rows:
        """Payments, newest first; `before`: only rounds that closed earlier, Unix seconds."""
        p, m, r = t.payments.c, t.members.c, t.rounds.c
        paid = t.payments.join(t.members, (m.job == p.job) & (m.member == p.member))
        closed = paid.join(t.rounds, (r.job == p.job) & (r.round == p.round))
        query = select(p.job, p.round, p.amount, r.closed_at).select_from(closed)
        query = query.where(m.provider == provider)
        if before is not None:
            query = query.where(r.closed_at < before)
        return self._all(query.order_by(r.closed_at.desc(), p.job, p.round.desc()).limit(limit))

    def fetch_record(self, provider: str, limit: int) -> Rows:
        """Its latest updates with what became of each: score, payment and the round's end."""
        u, m, r, p = t.updates.c, t.members.c, t.rounds.c, t.payments.c
        mine = t.updates.join(t.members, (m.job == u.job) & (m.member == u.member))
        rounds = mine.join(t.rounds, (r.job == u.job) & (r.round == u.round))
        paid = (p.job == u.job) & (p.round == u.round) & (p.member == u.member)
        columns = (u.job, u.round, u.digest, u.score, r.state, r.phase, r.failure, r.closed_at)
        query = select(*columns, p.amount).select_from(rounds.outerjoin(t.payments, paid))
        query = query.where(m.provider == provider)
        return self._all(query.order_by(r.opened_at.desc(), u.job, u.round.desc()).limit(limit))

    def fetch_faults(self, provider: str) -> Rows:
        return self._all(select(t.faults).where(t.faults.c.provider == provider))

    def _tuples(self, query: Select[Any]) -> list[tuple[Any, ...]]:
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def _all(self, query: Select[Any]) -> Rows:
        with self._engine.connect() as connection:
            return connection.execute(query).mappings().all()


def tally_scores(packed: bytes) -> Tally:
    """`packed`: uint16 per revealed update, as the tally's event carries them."""
    scores = np.frombuffer(packed, dtype=">u2")
    verified = scores[(scores > 0) & (scores <= SCORE_MAX)]
    return Tally(
        verified=len(verified),
        rejected=int(np.count_nonzero(scores == 0)),
        unavailable=int(np.count_nonzero(scores == SCORE_UNAVAILABLE)),
        invalid=int(np.count_nonzero(scores == SCORE_INVALID)),
        revealed=len(scores),
        median_score=float(np.median(verified)) if len(verified) else None,
    )


def state_of(has_digest: bool, score: int | None, phase: str) -> int:
    """Of one update, in a round that stands in `phase`."""
    if score is None:
        if has_digest:
            return REVEALED
        return UNREVEALED if phase in _PAST_REVEAL else COMMITTED
    if score > SCORE_MAX:
        return INVALID if score == SCORE_INVALID else UNAVAILABLE
    return VERIFIED if score else REJECTED


def _fill(
    first: int,
    last: int,
    members: int,
    rows: Sequence[tuple[Any, ...]],
    phases: Sequence[tuple[Any, ...]],
) -> Cells:
    shape = (last - first + 1, members)
    states, scores = np.zeros(shape, np.uint8), np.zeros(shape, np.uint16)
    phase_of: dict[int, str] = dict(phases)
    for round_, member, has_digest, score in rows:
        states[round_ - first, member] = state_of(has_digest, score, phase_of[round_])
        scores[round_ - first, member] = score or 0
    return Cells(first, states, scores)


def _as_dict(rows: list[tuple[Any, ...]]) -> dict[Any, int]:
    return {row[0]: row[1] for row in rows}


def _count_by(column: Any) -> Select[Any]:
    return select(column, func.count()).group_by(column)


def _has(role: Role) -> Any:
    return case((t.providers.c.roles.bitwise_and(int(role)) != 0, 1), else_=0)


def _sum_columns(rows: Rows, names: Sequence[str]) -> dict[str, int]:
    return {name: sum(row[name] for row in rows) for name in names}
