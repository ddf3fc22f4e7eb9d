"""Puts the resources together into one application. No process, socket or signal here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from fastapi import FastAPI

from commonweal.adapters.content.gateway import gateway_routes, upload_routes
from commonweal.adapters.content.store import ContentStore
from service.api import (
    careers,
    drafts,
    errors,
    events,
    health,
    histories,
    jobs,
    messages,
    network,
    overview,
    providers,
    rounds,
    sessions,
)
from service.api.access import SIGNED_IN, UPLOADING
from service.api.compression import CompressJson
from service.api.correlation import CorrelationId
from service.api.document import DocumentedApi
from service.api.limits import BodyLimit, SecurityHeaders
from service.api.pages import page_routes
from service.api.rates import RateLimit, load_api_keys
from service.buckets import Buckets
from service.claimed import ClaimedMetrics
from service.services import Services
from service.uploads import UploadQuota

MAX_BODY = 2 * 2**20
_DESCRIPTION = """
Relays signed messages to the chain, follows the chain, and moves jobs on. It decides nothing:
whatever it answers can be checked against the contracts, and whoever distrusts it goes there.

Money is a decimal string of wei, digests are 0x-hex, times are Unix seconds. Errors are
`application/problem+json` with a stable `code` and the numbers behind it.
"""


def create_app(services: Services) -> FastAPI:
    settings = services.settings
    app = create_routes(services.content, settings.upload_seconds)
    app.state.services = services
    app.state.quota = UploadQuota(settings.upload_bytes, settings.content_grace)
    app.state.drafting = anyio.CapacityLimiter(drafts.MOST_AT_ONCE)
    app.state.claimed = ClaimedMetrics(services.content)
    app.add_middleware(CompressJson)
    app.add_middleware(BodyLimit, limit=MAX_BODY, exempt="/v1/blocks/")
    app.add_middleware(SecurityHeaders)
    buckets = Buckets(settings.requests_per_second, settings.request_burst)
    app.add_middleware(
        RateLimit,
        buckets=buckets,
        keys=load_api_keys(settings.api_keys),
        read_token=services.sessions.read,
    )
    app.add_middleware(CorrelationId)
    errors.install(app)
    return app


def create_routes(content: ContentStore, upload_seconds: float) -> DocumentedApi:
    """What can be asked, and its document. Only with services (`create_app`) it answers."""
    app = DocumentedApi(
        title="Commonweal coordinator",
        version="1",
        description=_DESCRIPTION,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
    )
    counted = errors.problems(401, 429)
    # First what is asked most: routes are tried one after another.
    app.include_router(gateway_routes(content), responses=counted)
    app.include_router(messages.router, responses=counted)
    app.include_router(
        upload_routes(content, upload_seconds=upload_seconds),
        dependencies=[*SIGNED_IN, *UPLOADING],
        responses=counted,
    )
    app.include_router(health.router)
    pages = (overview, histories, careers)
    for module in (network, sessions, jobs, drafts, rounds, events, providers, *pages):
        app.include_router(module.router, responses=counted)
    app.include_router(page_routes())
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    services.start()
    try:
        yield
    finally:
        services.stop()
