"""Which network this coordinator is of."""

from __future__ import annotations

from fastapi import APIRouter

from commonweal import answers as s
from service.api.common import ServicesDep

router = APIRouter(tags=["network"])


@router.get("/v1/network", summary="Chain and contracts")
def get_network(services: ServicesDep) -> s.Network:
    """For orientation only: sign nothing for addresses that you have from here alone."""
    deployment = services.reader.deployment
    return s.Network(
        chain_id=deployment.chain_id,
        deployed_block=deployment.deployed_block,
        contracts={name: str(address) for name, address in deployment.contracts.items()},
    )
