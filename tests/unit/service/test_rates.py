"""Who asks too often waits; others do not notice."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from service.api.rates import InvalidApiKeys, RateLimit, load_api_keys
from service.buckets import Buckets
from service.sessions import SessionExpired

KEYS = {hashlib.sha256(b"script's key").digest(): "script"}


def read_token(token: str) -> str:
    if token == "old":
        raise SessionExpired("the session ended")
    return token.upper()


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    clock = Clock()
    buckets = Buckets(rate=2, burst=3, clock=clock)
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 0]
    assert buckets.take("a") == pytest.approx(0.5)
    assert buckets.take("b") == 0
    clock.now += 0.5
    assert buckets.take("a") == 0
    assert buckets.take("a") > 0
    clock.now += 1_000
    assert [buckets.take("a") > 0 for _ in range(4)] == [False, False, False, True]


def test_asking_while_refused_does_not_make_it_longer() -> None:
    clock = Clock()
    buckets = Buckets(rate=1, burst=1, clock=clock)
    buckets.take("a")
    for _ in range(50):
        assert buckets.take("a") > 0
    clock.now += 1
    assert buckets.take("a") == 0


@pytest.mark.anyio
async def test_requests_are_counted_by_place_and_by_key() -> None:
    async def hello(_: object) -> PlainTextResponse:
        return PlainTextResponse("hello")

    routes = [Route("/", hello), Route("/health", hello)]
    buckets = Buckets(rate=0.5, burst=2, clock=Clock())
    app = RateLimit(Starlette(routes=routes), buckets=buckets, keys=KEYS, read_token=read_token)

    async def ask(host: str, path: str = "/", **headers: str) -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(host, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get(path, headers=headers)

    assert [(await ask("10.0.0.1")).status_code for _ in range(3)] == [200, 200, 429]
    refused = await ask("10.0.0.1")
    assert refused.headers["retry-after"] == "2"
    assert refused.json()["code"] == "too-many-requests"
    assert (await ask("10.0.0.1", "/health")).status_code == 200
    assert (await ask("10.0.0.2")).status_code == 200
    # A key is an identity of its own, wherever it comes from.
    key = {"x-api-key": "script's key"}
    assert (await ask("10.0.0.1", **key)).status_code == 200
    assert (await ask("10.0.0.3", **key)).status_code == 200
    assert (await ask("10.0.0.4", **key)).status_code == 429
    unknown = await ask("10.0.0.5", **{"x-api-key": "guess"})
    assert (unknown.status_code, unknown.json()["code"]) == (401, "api-key-unknown")
    # So is whoever has signed in.
    signed_in = {"authorization": "Bearer abc"}
    answers = [(await ask(f"10.0.1.{n}", **signed_in)).status_code for n in range(3)]
    assert answers == [200, 200, 429]
    for bad, code in (("Bearer old", "session-expired"), ("Basic abc", "session-unknown")):
        refused = await ask("10.0.2.1", authorization=bad)
        assert (refused.status_code, refused.json()["code"]) == (401, code)
        assert refused.headers["www-authenticate"] == "Bearer"
    # One customer's IPv6 addresses are one identity.
    answers = [(await ask(f"2001:db8:1:1::{n}")).status_code for n in range(1, 4)]
    assert answers == [200, 200, 429]
    assert (await ask("2001:db8:1:2::1")).status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "cost"),
    [
        ("/v1/jobs/1/claims", 50),
        ("/v1/drafts", 50),
        ("/v1/jobs/1/matrix", 20),
        ("/v1/jobs/1/history", 20),
        ("/v1/overview", 10),
        ("/v1/providers/0xab/record", 5),
        ("/v1/providers/0xab/earnings", 5),
        ("/v1/jobs/1", 1),
        ("/ipfs/x?also=y&also=z", 3),
        ("/ipfs/x?%61lso=y&a%6Cso=z&salso=1", 3),
    ],
)
async def test_what_costs_more_counts_as_more(path: str, cost: int) -> None:
    async def hello(_: object) -> PlainTextResponse:
        return PlainTextResponse("hello")

    buckets = Buckets(rate=1, burst=100, clock=Clock())
    app = RateLimit(
        Starlette(routes=[Route("/{rest:path}", hello)]),
        buckets=buckets,
        keys={},
        read_token=read_token,
    )
    transport = httpx.ASGITransport(app, client=("10.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        await client.get(path)
    assert buckets.take("10.0.0.1", 100) == pytest.approx(cost)  # seconds until it is full again


def test_a_request_that_counts_as_more_than_the_burst_waits_for_a_full_bucket() -> None:
    clock = Clock()
    buckets = Buckets(rate=2, burst=10, clock=clock)
    assert buckets.take("a", 50) == 0
    assert buckets.take("a", 50) == pytest.approx(5)
    clock.now += 5
    assert buckets.take("a", 50) == 0


@pytest.mark.anyio
async def test_mapped_addresses_are_the_ipv4_ones_that_they_stand_for() -> None:
    buckets = Buckets(rate=1, burst=1, clock=Clock())
    app = RateLimit(Starlette(), buckets=buckets, keys={}, read_token=read_token)

    async def ask(host: str) -> int:
        transport = httpx.ASGITransport(app, client=(host, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return (await client.get("/")).status_code

    assert await ask("::ffff:10.0.0.1") == 404
    assert await ask("::ffff:10.0.0.2") == 404
    assert await ask("10.0.0.1") == 429


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_keys_are_read_as_hashes(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    digest = hashlib.sha256(b"script's key").hexdigest()
    file.write_text(f"# requesters\n\nscript {digest}  # for the nightly job\n")
    assert load_api_keys(file) == KEYS
    assert load_api_keys(None) == {}
    for bad in ("script", f"script {digest[:-2]}", f"script {digest} more", "script zz"):
        file.write_text(bad)
        with pytest.raises(InvalidApiKeys) as caught:
            load_api_keys(file)
        assert caught.value.details["line"] == 1
    with pytest.raises(InvalidApiKeys):
        load_api_keys(tmp_path / "none")
