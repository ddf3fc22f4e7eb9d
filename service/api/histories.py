"""Whole histories for charts, in columns; the matrix of trainers × rounds, packed; the log."""

from __future__ import annotations

from base64 import b64encode
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import RowMapping

from commonweal.answers import Answer, ClaimedMetric, ClaimedRound, Claims, WeiText
from commonweal.errors import InvalidInput
from service.api.common import (
    MAX_PAGE,
    ClaimedDep,
    Cursor,
    HistoryDep,
    JobNumber,
    Limit,
    ServicesDep,
    parse_cursor,
)
from service.api.errors import problems
from service.claimed import Claim
from service.eventjson import from_hex, to_hex

router = APIRouter(prefix="/v1", tags=["history"])
MOST_ROUNDS_AT_ONCE = 64
_SAMPLE = 16
_MOST_POINTS = 200
_SHORT = 66  # characters of a 32-byte word; longer hex is packed data that the log leaves out


class InvalidBand(InvalidInput):
    code = "invalid-band"


class InvalidTransaction(InvalidInput):
    code = "invalid-transaction"


class RoundHistory(Answer):
    """One entry per round in every column, rounds ascending; null where a round got not so far."""

    job: int
    trainers: Annotated[list[str], Field(description="owners' addresses by member")]
    round: list[int]
    state: list[str]
    phase: list[str]
    failure: list[str | None]
    opened_at: list[int]
    closed_at: list[int | None]
    spent: list[WeiText]
    committed: list[int]
    revealed: list[int]
    verified: list[int | None]
    rejected: list[int | None]
    unavailable: list[int | None]
    invalid: list[int | None]
    median_score: Annotated[
        list[float | None], Field(description="of the verified, as the chain tallied them")
    ]


class Matrix(Answer):
    """Base64 of packed cells, members ascending within each round."""

    job: int
    first: Annotated[int, Field(description="round of the first column")]
    rounds: int
    members: int
    states: Annotated[
        str,
        Field(
            description="a byte per cell: 0 took no part, 1 committed, 2 revealed, 3 rejected, "
            "4 verified, 5 unavailable, 6 invalid, 7 committed and never revealed"
        ),
    ]
    scores: Annotated[str, Field(description="big-endian uint16 per cell, 0 before the tally")]


class LogEntry(Answer):
    id: int
    name: str
    job: int | None
    round: int | None
    block: int
    tx: str
    log_index: int
    timestamp: int
    data: Annotated[dict[str, Any], Field(description="fields, packed bytes left out")]


class Log(Answer):
    items: list[LogEntry]
    next: str | None = None


@router.get(
    "/jobs/{job}/history", summary="All rounds in columns", responses=problems(404, 422, 503)
)
def get_history(services: ServicesDep, history: HistoryDep, job: JobNumber) -> RoundHistory:
    services.repository.fetch_job(job)
    rows = history.fetch_rounds(job)
    committed, tallies = history.count_committed(job), history.fetch_tallies(job)
    untold = history.count_revealed(job, [n for n in committed if n not in tallies])
    told = {round_: tally.revealed for round_, tally in tallies.items()}
    plain = ("round", "state", "phase", "failure", "opened_at", "closed_at")
    columns: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in plain}
    columns["spent"] = [row["spent"] for row in rows]
    for name, counts in (("committed", committed), ("revealed", untold | told)):
        columns[name] = [counts.get(row["round"], 0) for row in rows]
    for name in ("verified", "rejected", "unavailable", "invalid", "median_score"):
        columns[name] = [getattr(tallies.get(row["round"]), name, None) for row in rows]
    return RoundHistory(job=job, trainers=history.fetch_trainers(job), **columns)


@router.get(
    "/jobs/{job}/matrix", summary="Verdicts and scores", responses=problems(400, 404, 422, 503)
)
def get_matrix(
    services: ServicesDep,
    history: HistoryDep,
    job: JobNumber,
    first: Annotated[int, Query(ge=1, lt=2**62, description="round")] = 1,
    last: Annotated[int, Query(ge=1, lt=2**62, description="round, included")] = 32,
) -> Matrix:
    """A band of at most 64 rounds."""
    count = last - first + 1
    if not 0 < count <= MOST_ROUNDS_AT_ONCE:
        text = f"a band has 1 to {MOST_ROUNDS_AT_ONCE} rounds, this one {count}"
        raise InvalidBand(text, rounds=count, most=MOST_ROUNDS_AT_ONCE)
    services.repository.fetch_job(job)
    cells = history.fetch_cells(job, first, last)
    return Matrix(
        job=job,
        first=first,
        rounds=cells.states.shape[0],
        members=cells.states.shape[1],
        states=b64encode(cells.states.tobytes()).decode(),
        scores=b64encode(cells.scores.astype(">u2").tobytes()).decode(),
    )


@router.get("/jobs/{job}/claims", summary="Metrics as claimed", responses=problems(404, 422, 503))
def get_claims(
    services: ServicesDep,
    history: HistoryDep,
    claimed: ClaimedDep,
    job: JobNumber,
    points: Annotated[int, Query(ge=1, le=_MOST_POINTS, description="rounds at most")] = 60,
) -> Claims:
    """From the manifests of up to 16 members' verified updates, in evenly spaced rounds."""
    services.repository.fetch_job(job)
    items, trainers = [], len(history.fetch_trainers(job))
    for round_ in _space([row["round"] for row in history.fetch_rounds(job)], points):
        members = _choose(trainers, round_)
        summary = claimed.summarise(history.fetch_sample(job, round_, members))
        if summary:
            items.append(ClaimedRound(round=round_, metrics=_show_claims(summary)))
    return Claims(job=job, items=items)


@router.get(
    "/jobs/{job}/log", summary="Events, newest first", responses=problems(400, 404, 422, 503)
)
def get_log(
    services: ServicesDep,
    history: HistoryDep,
    job: JobNumber,
    round: Annotated[int | None, Query(ge=1, lt=2**62, description="only of this round")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Log:
    services.repository.fetch_job(job)
    rows = history.fetch_log(job, round, parse_cursor(cursor), limit)
    next_ = str(rows[-1]["id"]) if len(rows) == limit else None
    return Log(items=[_show_event(row) for row in rows], next=next_)


@router.get("/transactions/{tx}", summary="What it did", responses=problems(400, 422, 503))
def get_transaction(
    history: HistoryDep,
    tx: str,
    block: Annotated[int, Query(ge=0, lt=2**62, description="the block that it is in")],
) -> Log:
    """The events of one transaction; none if this block holds no such one."""
    rows = history.fetch_transaction(_parse_hash(tx), block, MAX_PAGE)
    return Log(items=[_show_event(row) for row in rows])


def _show_claims(summary: dict[str, Claim]) -> dict[str, ClaimedMetric]:
    return {
        name: ClaimedMetric(low=c.low, median=c.median, high=c.high, updates=c.updates)
        for name, c in summary.items()
    }


def _choose(trainers: int, round_: int) -> list[int]:
    """At most 16 members, evenly spread, others in the next round."""
    step = -(-trainers // _SAMPLE) or 1
    return list(range(round_ % step, trainers, step))


def _space(rounds: list[int], points: int) -> list[int]:
    """At most `points` of them, evenly, with the first and the last."""
    rounds = sorted(rounds)
    if len(rounds) <= points:
        return rounds
    step = (len(rounds) - 1) / max(points - 1, 1)
    return sorted({rounds[len(rounds) - 1 - round(step * i)] for i in range(points)})


def _show_event(row: RowMapping) -> LogEntry:
    data = {name: value for name, value in row["data"].items() if _is_short(value)}
    return LogEntry(
        id=row["id"],
        name=row["name"],
        job=row["job"],
        round=row["round"],
        block=row["block_number"],
        tx=to_hex(row["tx_hash"]),
        log_index=row["log_index"],
        timestamp=row["timestamp"],
        data=data,
    )


def _is_short(value: Any) -> bool:
    return len(value) <= _SHORT if isinstance(value, str | list) else True


def _parse_hash(text: str) -> bytes:
    try:
        tx = from_hex(text)
    except ValueError:
        tx = b""
    if len(tx) != 32:
        raise InvalidTransaction("a transaction's hash has 32 bytes in hex", tx=text[:_SHORT])
    return tx
