"""One identity's uploads use up its own room only, however their length is declared."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from commonweal.adapters.content.dags import MAX_LINKS
from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.gateway import upload_routes
from commonweal.adapters.content.store import MAX_BLOCK_BYTES
from commonweal.adapters.content.wire import encode_bytes
from commonweal.protocol.cids import compute_cid
from service.api import errors
from service.api.access import UPLOADING
from service.api.rates import RateLimit
from service.buckets import Buckets
from service.sessions import SessionUnknown
from service.uploads import QuotaSpent, UploadQuota

KEY = "a script's key"


def test_a_quota_is_spent_by_bytes_and_identity() -> None:
    quota = UploadQuota(1_000, 3_600)
    quota.spend("a", 600)
    quota.spend("a", 400)
    with pytest.raises(QuotaSpent) as caught:
        quota.spend("a", 500)
    assert 1_790 <= caught.value.details["seconds"] <= 1_800  # type: ignore[operator]
    quota.spend("b", 1_000)


def read_token(token: str) -> str:
    raise SessionUnknown(token)


def open_client(folder: Path, quota: int) -> httpx.AsyncClient:
    """Of a coordinator that takes uploads and does nothing else."""
    app = FastAPI()
    app.include_router(upload_routes(EmbeddedStore(folder)), dependencies=UPLOADING)
    app.state.quota = UploadQuota(quota, 3_600)
    keys = {hashlib.sha256(KEY.encode()).digest(): "script"}
    app.add_middleware(RateLimit, buckets=Buckets(100, 100), keys=keys, read_token=read_token)
    errors.install(app)
    transport = httpx.ASGITransport(app)
    headers = {"x-api-key": KEY}
    return httpx.AsyncClient(transport=transport, base_url="http://here", headers=headers)


async def in_chunks(block: bytes) -> AsyncIterator[bytes]:
    yield block


@pytest.mark.anyio
@pytest.mark.parametrize("declared", [{}, {"content-length": "0"}])
async def test_chunks_count_as_the_longest_block_whatever_length_stands_beside_them(
    tmp_path: Path, declared: dict[str, str]
) -> None:
    headers = declared | {"transfer-encoding": "chunked"}
    async with open_client(tmp_path, 3 * 2**20) as client:
        statuses = []
        for number in range(3):
            block = bytes([number]) * MAX_BLOCK_BYTES
            path = f"/v1/blocks/{compute_cid(block, 'raw')}"
            answer = await client.put(path, content=in_chunks(block), headers=headers)
            statuses.append(answer.status_code)
    assert statuses == [201, 429, 429]


@pytest.mark.anyio
async def test_a_declared_length_counts_as_what_it_is(tmp_path: Path) -> None:
    async with open_client(tmp_path, 2_500) as client:
        statuses = []
        for number in range(3):
            block = bytes([number]) * 1_000
            answer = await client.put(f"/v1/blocks/{compute_cid(block, 'raw')}", content=block)
            statuses.append(answer.status_code)
    assert statuses == [201, 201, 429]


@pytest.mark.anyio
async def test_blocks_that_no_walk_gets_past_are_refused(tmp_path: Path) -> None:
    link = encode_bytes(2, encode_bytes(1, compute_cid(b"x", "raw").binary))
    async with open_client(tmp_path, 2**20) as client:
        answers = []
        for block in (link * MAX_LINKS, link * (MAX_LINKS + 1), link[:-1]):
            path = f"/v1/blocks/{compute_cid(block, 'dag-pb')}"
            answers.append(await client.put(path, content=block))
        assert [answer.status_code for answer in answers] == [201, 400, 400]
        assert answers[1].json()["code"] == "content-corrupt"
        assert "has more than 1024 links" in answers[1].json()["detail"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
