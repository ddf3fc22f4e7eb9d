"""Nobody takes all places of an event stream, and whoever goes gives theirs back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from starlette.requests import Request
from starlette.types import Message

from service.api.following import Following
from service.api.rates import Caller
from service.followers import MOST_OF_ONE, Followers, TooManyFollowers


def test_one_identity_has_few_of_all_places() -> None:
    followers = Followers(MOST_OF_ONE + 1)
    for _ in range(MOST_OF_ONE):
        followers.enter("greedy")
    with pytest.raises(TooManyFollowers) as caught:
        followers.enter("greedy")
    assert caught.value.details["limit"] == MOST_OF_ONE
    followers.enter("modest")
    with pytest.raises(TooManyFollowers) as caught:
        followers.enter("third")
    assert caught.value.details["limit"] == MOST_OF_ONE + 1
    followers.leave("greedy")
    followers.enter("greedy")


async def events() -> AsyncIterator[dict[str, Any]]:
    while True:
        yield {"event": "change", "data": "{}"}
        await anyio.lowlevel.checkpoint()


def build_request(identity: str) -> Request:
    return Request({"type": "http", "method": "GET", "state": {"caller": Caller(identity, False)}})


async def stay() -> Message:
    await anyio.sleep_forever()
    raise AssertionError


@pytest.mark.anyio
async def test_one_that_does_not_read_loses_its_place() -> None:
    followers = Followers(1)
    request = build_request("stuck")
    response = Following(request, followers, events(), send_seconds=0.05)
    with pytest.raises(TooManyFollowers):
        Following(request, followers, events())

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await anyio.sleep_forever()

    with anyio.fail_after(20):
        await response(request.scope, stay, send)
    followers.enter("next")


@pytest.mark.anyio
async def test_one_that_goes_gives_its_place_back() -> None:
    followers = Followers(1)
    request = build_request("gone")

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        await anyio.lowlevel.checkpoint()

    with anyio.fail_after(20):
        await Following(request, followers, events())(request.scope, receive, send)
    followers.enter("next")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
