"""A store over HTTP: the IPFS Trustless Gateway for readers, verified block uploads for writers.

Errors are application/problem+json from these routes themselves, so any FastAPI app can mount them.
"""

from __future__ import annotations

from fastapi import APIRouter

from commonweal.adapters.content.store import MAX_BLOCK_BYTES, ContentStore


def gateway_routes(store: ContentStore) -> APIRouter:
    """GET and HEAD /ipfs/{cid}?format=raw|car."""
    raise NotImplementedError


def upload_routes(store: ContentStore, max_block: int = MAX_BLOCK_BYTES) -> APIRouter:
    """PUT /v1/blocks/{cid}: 201 stored, 200 already here, 400, 408, 413, 507."""
    raise NotImplementedError
