"""Is this coordinator well, and what does it measure. Never limited, never refused."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from commonweal import answers as s
from commonweal.errors import Unavailable
from service.api.common import ServicesDep
from service.api.errors import problems
from service.metrics import Reading, SenderReading
from service.senders import Balance
from service.services import Services

router = APIRouter(tags=["network"])


class NotReady(Unavailable):
    code = "not-ready"


@router.get("/health", summary="How the coordinator is")
def get_health(services: ServicesDep) -> s.Health:
    """Always 200 while the process serves; `status` tells whether it keeps up with the chain."""
    engine = services.engine
    head = engine.head.number if engine.head else None
    error = engine.error or (None if head is not None else "starting")
    own = services.balances[0]
    balance = own.fetch()
    return s.Health(
        status="degraded" if error else "ok",
        error=error,
        leads=engine.leads,
        head=head,
        indexed_block=engine.indexed,
        lag=None if head is None else max(0, head - engine.indexed),
        final_block=None if head is None else max(0, head - services.settings.finality),
        relay_queue=_count_waiting(services),
        sender=own.address,
        sender_balance=balance,
    )


def _count_waiting(services: Services) -> int | None:
    try:
        return services.mailbox.count_waiting()
    except (DBAPIError, PoolExhausted):
        return None


@router.get("/ready", summary="Whether requests should come here", responses=problems(503))
def get_readiness(services: ServicesDep) -> s.Readiness:
    """503 while the chain or the database does not answer, or much of the chain is still unread.

    Whoever does not lead is ready too: messages may be handed in anywhere."""
    engine, most = services.engine, services.settings.ready_lag
    services.chain_store.fetch_cursor()
    if engine.head is None or engine.error is not None:
        raise NotReady("the chain cannot be followed", error=engine.error or "starting")
    lag = max(0, engine.head.number - engine.indexed)
    if lag > most:
        raise NotReady(f"{lag} blocks are still unread", lag=lag, limit=most)
    return s.Readiness(leads=engine.leads, lag=lag)


@router.get(
    "/metrics",
    summary="What is measured, for Prometheus",
    response_class=PlainTextResponse,
    responses=problems(503),
)
def get_metrics(services: ServicesDep) -> PlainTextResponse:
    """Lag in blocks, messages by state, the outbox, phase durations, gas and fees."""
    metrics = services.metrics
    if metrics.gauges.needs_reading():
        metrics.gauges.note(_read(services))
    return PlainTextResponse(metrics.render(), media_type=CONTENT_TYPE_LATEST)


def _read(services: Services) -> Reading:
    engine = services.engine
    return Reading(
        head=engine.head.number if engine.head else None,
        indexed=engine.indexed,
        leads=engine.leads,
        messages=services.mailbox.count_by_state(),
        senders={each.address: _read_sender(services, each) for each in services.balances},
    )


def _read_sender(services: Services, balance: Balance) -> SenderReading:
    chain_id = services.reader.deployment.chain_id
    pending, nonce = services.outbox.count_pending(chain_id, balance.address)
    return SenderReading(pending, nonce, balance.fetch())
