"""Is this coordinator well, and which network is it of."""

from __future__ import annotations

from fastapi import APIRouter

from service.api import schemas as s
from service.api.common import ServicesDep
from service.api.errors import problems

router = APIRouter(tags=["network"])


@router.get("/health", summary="How the coordinator is")
def get_health(services: ServicesDep) -> s.Health:
    """Always 200 while the process serves; `status` tells whether it keeps up with the chain."""
    engine = services.engine
    head = engine.head.number if engine.head else None
    error = engine.error or (None if head is not None else "starting")
    balance = services.balance.fetch()
    return s.Health(
        status="degraded" if error else "ok",
        error=error,
        leads=engine.leads,
        head=head,
        indexed_block=engine.indexed,
        lag=None if head is None else max(0, head - engine.indexed),
        final_block=None if head is None else max(0, head - services.settings.finality),
        relay_queue=services.mailbox.count_waiting(),
        sender=services.balance.address,
        sender_balance=None if balance is None else str(balance),
    )


@router.get("/v1/network", summary="Chain and contracts", responses=problems(503))
def get_network(services: ServicesDep) -> s.Network:
    """For orientation only: sign nothing for addresses that you have from here alone."""
    deployment = services.reader.deployment
    return s.Network(
        chain_id=deployment.chain_id,
        deployed_block=deployment.deployed_block,
        contracts={name: str(address) for name, address in deployment.contracts.items()},
    )
