"""What a provider earned when, and what became of each of its updates."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import RowMapping

from commonweal.answers import Answer, Wei, WeiText
from service.api.common import HistoryDep, ServicesDep, cid_or_none, parse_address
from service.api.errors import problems
from service.history import state_of

router = APIRouter(prefix="/v1/providers/{address}", tags=["providers"])
_OUTCOMES = (
    "absent",
    "committed",
    "revealed",
    "rejected",
    "verified",
    "unavailable",
    "invalid",
    "unrevealed",
)


class Earnings(Answer):
    """Columns, newest first: the credits of one provider, one per round that paid it."""

    job: list[int]
    round: list[int]
    amount: list[WeiText]
    at: Annotated[list[int], Field(description="when the round became final, Unix seconds")]


class Outcome(Answer):
    job: int
    round: int
    cid: Annotated[str | None, Field(description="of the update's manifest")]
    outcome: Annotated[str, Field(examples=["verified"], description="the verdict, or how far")]
    score: int | None
    round_state: str
    failure: Annotated[str | None, Field(description="why the round failed: nobody was paid")]
    amount: Annotated[Wei, Field(description="credited in that round for everything, wei")]


class FaultShown(Answer):
    job: int
    round: int
    fault: str
    slash: Annotated[int, Field(description="0: nothing was there to slash")]


class Record(Answer):
    outcomes: Annotated[list[Outcome], Field(description="latest updates first")]
    faults: list[FaultShown]


@router.get("/earnings", summary="Earned when", responses=problems(400, 404, 422, 503))
def get_earnings(
    services: ServicesDep,
    history: HistoryDep,
    address: str,
    limit: Annotated[int, Query(ge=1, le=5_000)] = 2_000,
    before: Annotated[int | None, Query(ge=0, lt=2**62, description="Unix seconds")] = None,
) -> Earnings:
    owner = parse_address(address)
    services.repository.fetch_provider(owner)
    rows = history.fetch_earnings(owner, before, limit)
    return Earnings(
        job=[row["job"] for row in rows],
        round=[row["round"] for row in rows],
        amount=[row["amount"] for row in rows],
        at=[row["closed_at"] for row in rows],
    )


@router.get("/record", summary="What became of its updates", responses=problems(400, 404, 422, 503))
def get_record(
    services: ServicesDep,
    history: HistoryDep,
    address: str,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Record:
    """Why it was paid or not, round by round, and the faults that were proven."""
    owner = parse_address(address)
    services.repository.fetch_provider(owner)
    names = tuple(FaultShown.model_fields)
    return Record(
        outcomes=[_show(row) for row in history.fetch_record(owner, limit)],
        faults=[FaultShown(**{n: row[n] for n in names}) for row in history.fetch_faults(owner)],
    )


def _show(row: RowMapping) -> Outcome:
    return Outcome(
        job=row["job"],
        round=row["round"],
        cid=cid_or_none(row["digest"]),
        outcome=_OUTCOMES[state_of(row["digest"] is not None, row["score"], row["phase"])],
        score=row["score"],
        round_state=row["state"],
        failure=row["failure"],
        amount=row["amount"] or 0,
    )
