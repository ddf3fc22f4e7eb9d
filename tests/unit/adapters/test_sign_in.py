"""A key signs in by itself, and again in time."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from eth_account import Account

from commonweal.adapters.sign_in import ApiKey, SignIn
from commonweal.coordinator_errors import CoordinatorError, CoordinatorUnreachable
from commonweal.protocol.signing import Domain, hash_sign_in, recover_compact
from commonweal.protocol.types import Address

ACCOUNT, COORDINATOR = Account.create(), Account.create().address
DOMAIN = Domain(31337, Address(Account.create().address))
BASE = "http://coordinator.example:8750"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Coordinator:
    """Gives tokens 1, 2, … for signatures that name `BASE` as their host."""

    def __init__(self) -> None:
        self.opened = 0
        self.challenge: tuple[int, Any] = (
            200,
            {"nonce": "once", "coordinator": COORDINATOR, "expires_at": 99, "chain_id": 1},
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/sessions/challenge":
            return httpx.Response(self.challenge[0], json=self.challenge[1])
        form = json.loads(request.content)
        assert form["host"] == "coordinator.example:8750"
        signed = ("coordinator.example:8750", COORDINATOR, form["account"], "once", 99)
        digest = hash_sign_in(DOMAIN, *signed)
        assert recover_compact(digest, bytes.fromhex(form["signature"][2:])) == ACCOUNT.address
        self.opened += 1
        return httpx.Response(201, json={"token": str(self.opened), "seconds": 3_600})


@pytest.fixture
def coordinator() -> Coordinator:
    return Coordinator()


def make(coordinator: Coordinator, clock: Clock | None = None) -> SignIn:
    def stream(request: httpx.Request) -> httpx.Response:
        answer = coordinator.answer(request)
        return httpx.Response(answer.status_code, stream=httpx.ByteStream(answer.content))

    client = httpx.Client(transport=httpx.MockTransport(stream))
    return SignIn(ACCOUNT, DOMAIN, client, clock=clock or Clock())


def test_one_session_serves_until_shortly_before_its_end(coordinator: Coordinator) -> None:
    clock = Clock()
    sign_in = make(coordinator, clock)
    assert sign_in.headers(BASE) == {"Authorization": "Bearer 1"}
    clock.now = 3_539
    assert sign_in.headers(BASE) == {"Authorization": "Bearer 1"}
    clock.now = 3_540
    assert sign_in.headers(BASE) == {"Authorization": "Bearer 2"}
    sign_in.forget(BASE)
    assert sign_in.headers(BASE) == {"Authorization": "Bearer 3"}


def test_gateways_without_sessions_are_asked_once(coordinator: Coordinator) -> None:
    coordinator.challenge = (404, {})
    sign_in = make(coordinator)
    assert sign_in.headers(BASE) == {}
    coordinator.challenge = (500, {})
    assert sign_in.headers(BASE) == {}


def test_what_the_coordinator_says_against_it_is_told(coordinator: Coordinator) -> None:
    coordinator.challenge = (503, {"code": "database-unavailable", "detail": "away"})
    with pytest.raises(CoordinatorError) as caught:
        make(coordinator).headers(BASE)
    assert caught.value.code == "database-unavailable"


@pytest.mark.parametrize("answer", [[], "x", {"nonce": 5}, {"nonce": "a" * 2_000}])
def test_answers_of_another_shape_are_errors(coordinator: Coordinator, answer: object) -> None:
    coordinator.challenge = (200, answer)
    with pytest.raises(CoordinatorError) as caught:
        make(coordinator).headers(BASE)
    assert caught.value.code == "coordinator-error"


class Line:
    """To a coordinator: each request takes the next of `troubles`, None for an answer."""

    def __init__(self, coordinator: Coordinator, *troubles: Exception | None) -> None:
        self.coordinator = coordinator
        self.troubles = list(troubles)
        self.paths: list[str] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.paths.append(request.url.path)
        answer = self.coordinator.answer(request)
        if self.troubles and (trouble := self.troubles.pop(0)) is not None:
            raise trouble
        return answer


def test_a_lost_answer_is_asked_for_again_with_another_challenge(coordinator: Coordinator) -> None:
    line = Line(coordinator, None, httpx.ReadError("reset"))
    assert make(line).headers(BASE) == {"Authorization": "Bearer 2"}  # type: ignore[arg-type]
    assert line.paths == ["/v1/sessions/challenge", "/v1/sessions"] * 2


@pytest.mark.parametrize(
    ("trouble", "times"), [(httpx.ConnectError("refused"), 3), (httpx.ReadTimeout("slow"), 1)]
)
def test_nobody_there(coordinator: Coordinator, trouble: Exception, times: int) -> None:
    line = Line(coordinator, *[trouble] * 5)
    with pytest.raises(CoordinatorUnreachable):
        make(line).headers(BASE)  # type: ignore[arg-type]
    assert len(line.paths) == times


def test_an_api_key_takes_its_place() -> None:
    key = ApiKey("secret")
    key.forget(BASE)
    assert key.headers(BASE) == {"X-API-Key": "secret"}
