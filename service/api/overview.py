"""The whole network in one answer, and a stream that tells when something has changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import RowMapping
from sse_starlette.sse import EventSourceResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from commonweal.answers import Answer, WeiText
from service.api.common import HistoryDep, ServicesDep
from service.api.errors import problems
from service.api.following import Following
from service.services import Services

router = APIRouter(prefix="/v1", tags=["network"])
_PAGE = 500
_LOOK_SECONDS = 0.2


class ProviderCounts(Answer):
    registered: int
    trainers: int
    validators: int
    jailed: int


class Stakes(Answer):
    free: WeiText
    locked: WeiText
    unbonding: WeiText
    slashed: WeiText


class MoneyFlow(Answer):
    """deposited = escrow + refunded + earned + fees; `claimed` is a part of `earned`."""

    deposited: WeiText
    escrow: WeiText
    refunded: WeiText
    earned: WeiText
    fees: WeiText
    claimed: WeiText


class Overview(Answer):
    head: Annotated[int | None, Field(description="latest indexed block")]
    providers: ProviderCounts
    stake: Stakes
    jobs: Annotated[dict[str, int], Field(description="by state")]
    rounds: Annotated[dict[str, int], Field(description="by state")]
    money: MoneyFlow


@router.get("/overview", summary="The network in sums", responses=problems(503))
def get_overview(services: ServicesDep, history: HistoryDep) -> Overview:
    return Overview(
        head=services.engine.indexed,
        providers=ProviderCounts(**history.count_providers(services.views.now())),
        stake=Stakes(**history.sum_stakes()),
        jobs=history.count_jobs(),
        rounds=history.count_rounds(),
        money=MoneyFlow(**history.sum_money()),
    )


@router.get(
    "/changes",
    summary="Be told what changed",
    response_class=EventSourceResponse,
    responses={
        200: {
            "description": "One `change` message whenever events were indexed, from now on: which "
            "events of which jobs and rounds, without their fields. The first message, `ready`, "
            "says that nothing after it is missed.",
            "content": {
                "text/event-stream": {
                    "schema": {"type": "string"},
                    "example": 'event: change\ndata: {"block": 120, '
                    '"events": [["RoundTallied", 1, 3]]}\n\n',
                }
            },
        },
        **problems(503),
    },
)
async def follow_changes(
    request: Request, services: ServicesDep, history: HistoryDep
) -> EventSourceResponse:
    last = await run_in_threadpool(history.fetch_last_id)
    return Following(request, services.change_followers, _stream(services, history, last))


async def _stream(
    services: Services, history: HistoryDep, last: int
) -> AsyncIterator[dict[str, Any]]:
    seen = services.engine.changes
    yield {"event": "ready", "data": json.dumps({"block": services.engine.indexed})}
    while True:
        if services.engine.changes == seen:
            await asyncio.sleep(_LOOK_SECONDS)
            continue
        seen = services.engine.changes
        while rows := await run_in_threadpool(history.fetch_changes, last, _PAGE):
            last = rows[-1]["id"]
            yield {"event": "change", "data": json.dumps(_describe(rows))}


def _describe(rows: Sequence[RowMapping]) -> dict[str, Any]:
    events = dict.fromkeys((row["name"], row["job"], row["round"]) for row in rows)
    return {"block": rows[-1]["block_number"], "events": [list(event) for event in events]}
