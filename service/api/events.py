"""A job's events as they are indexed: server-sent events that resume where a reader left off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header
from sqlalchemy import Row
from sse_starlette.sse import EventSourceResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from service.api.common import InvalidCursor, JobNumber, ServicesDep
from service.api.errors import problems
from service.api.following import Following
from service.eventjson import to_hex
from service.services import Services

router = APIRouter(prefix="/v1/jobs/{job}/events", tags=["jobs"])
_PAGE = 200
_LOOK_SECONDS = 0.1


@router.get(
    "",
    summary="Follow a job",
    response_class=EventSourceResponse,
    responses={
        200: {
            "description": "One message per chain event: `id` its place in the coordinator's own "
            "sequence, `event` its name, `data` its fields as JSON with `block`, `tx`, `timestamp` "
            "and `final` (false: so recent that it may be undone). After a chain reorganisation "
            "the events of the new blocks follow under new ids.",
            "content": {
                "text/event-stream": {
                    "schema": {"type": "string"},
                    "example": 'id: 42\nevent: PhaseStarted\ndata: {"job": 1, "round": 3, '
                    '"phase": "reveal", "ends_at": 1790000060}\n\n',
                }
            },
        },
        **problems(400, 404, 422, 503),
    },
)
async def follow_job(
    request: Request,
    services: ServicesDep,
    job: JobNumber,
    last_event_id: Annotated[
        str | None,
        Header(max_length=32, description="`id` of the last event seen; none: from the start"),
    ] = None,
) -> EventSourceResponse:
    after = _parse_id(last_event_id)
    await run_in_threadpool(services.repository.fetch_job, job)
    return Following(request, services.followers, _stream(services, job, after))


async def _stream(services: Services, job: int, after: int) -> AsyncIterator[dict[str, Any]]:
    seen = -1
    while True:
        changes = services.engine.changes
        if changes == seen:
            await asyncio.sleep(_LOOK_SECONDS)
            continue
        rows = await run_in_threadpool(services.repository.fetch_events, job, after, _PAGE)
        for row in rows:
            after = row.id
            yield {"id": str(row.id), "event": row.name, "data": json.dumps(_show(services, row))}
        if len(rows) < _PAGE:
            seen = changes


def _show(services: Services, row: Row[Any]) -> dict[str, Any]:
    place = {
        "block": row.block_number,
        "tx": to_hex(row.tx_hash),
        "timestamp": row.timestamp,
        "final": services.is_final(row.block_number),
    }
    return {**row.data, **place}


def _parse_id(text: str | None) -> int:
    if text is None or text == "":
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise InvalidCursor("Last-Event-ID is the id of an event of this stream", id=text)
    return int(text)
