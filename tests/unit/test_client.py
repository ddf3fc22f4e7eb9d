"""The requester's client against a small HTTP server; signatures are recovered, not compared."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from commonweal import AsyncClient, answers
from commonweal.adapters.chain import Block
from commonweal.adapters.deployment import CONTRACTS, Deployment
from commonweal.client import (
    AnswerUnreadable,
    Client,
    JobEvent,
    OfferRefused,
    OfferTimeout,
    fetch_job_model,
    sign_offer,
)
from commonweal.coordinator_errors import CoordinatorError, CoordinatorUnreachable
from commonweal.jobfile import compute_parameters, load_job_file
from commonweal.learning.weights import ModelTooLarge
from commonweal.protocol.events import EventRef, RoundFinalised
from commonweal.protocol.signing import compute_parameters_hash, hash_job_offer, recover_compact
from commonweal.protocol.types import Address, Digest

EXAMPLE = load_job_file(Path(__file__).resolve().parents[2] / "examples" / "digits.yaml")
ACCOUNT = Account.from_key("0x" + "11" * 32)
NOW = 1_700_000_000


class FakeReader:
    """The chain as `sign_offer` sees it."""

    deployment = Deployment(
        31337, 0, {name: Address("0x" + f"{i + 1:02x}" * 20) for i, name in enumerate(CONTRACTS)}
    )

    def fetch_head(self) -> Block:
        return Block(9, bytes(32), bytes(32), NOW)

    def call(self, contract: str, function: str, *args: object, at: int) -> Any:
        assert (contract, at) == ("CommonwealToken", 9)
        return {"nonces": 3, "name": "Commonweal"}[function]


class Coordinator(ThreadingHTTPServer):
    """Answers from `answers`, one after the other per (method, path); the last one stays."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[tuple[str, str], list[tuple[int, object]]] = {}
        self.requests: list[tuple[str, str, bytes, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def expect(self, method: str, path: str, *answers: tuple[int, object]) -> None:
        self.answers[method, path] = list(answers)


class Handler(BaseHTTPRequestHandler):
    server: Coordinator

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((self.command, self.path, body, dict(self.headers)))
        missing: list[tuple[int, object]] = [(404, {"code": "not-found", "detail": self.path})]
        answers = self.server.answers.get((self.command, self.path), missing)
        status, value = answers.pop(0) if len(answers) > 1 else answers[0]
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def coordinator() -> Iterator[Coordinator]:
    with Coordinator() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def client(coordinator: Coordinator) -> Iterator[Client]:
    with Client(coordinator.url) as client:
        yield client


def make_job(number: int) -> dict[str, Any]:
    """As it comes: money in strings."""
    return {
        "job": number, "requester": "0xa", "state": "running", "spec": "s", "initial_model": "m",
        "parameters": {"rounds": 3}, "parameters_version": 1, "deposit": str(10**21),
        "escrow": str(10**21), "refunded": "0", "quantum": "1", "finalised_rounds": 0,
        "failed_rounds": 0, "members": 4, "created_at": NOW, "final": True,
    }  # fmt: skip


def test_answers_are_typed_and_money_is_a_number(client: Client, coordinator: Coordinator) -> None:
    coordinator.expect("GET", "/v1/jobs", (200, {"items": [make_job(1)], "next": "more"}))
    page = client.jobs()
    assert page.next == "more"
    assert page.items[0].escrow - page.items[0].refunded == 10**21
    assert page.items[0].model_dump(mode="json") == make_job(1)


def test_a_newer_coordinators_fields_are_passed_over(
    client: Client, coordinator: Coordinator
) -> None:
    coordinator.expect("GET", "/v1/jobs/1", (200, make_job(1) | {"mood": "good"}))
    assert client.job(1) == answers.Job(**make_job(1))


@pytest.mark.parametrize("wrong", [{"job": 1}, [], make_job(1) | {"escrow": "much"}])
def test_an_answer_that_is_none_names_its_field(
    client: Client, coordinator: Coordinator, wrong: object
) -> None:
    coordinator.expect("GET", "/v1/jobs/1", (200, wrong))
    with pytest.raises(AnswerUnreadable) as caught:
        client.job(1)
    assert caught.value.details["path"] == "/v1/jobs/1"


def test_in_a_notebook_whose_loop_runs_already_both_clients_work(coordinator: Coordinator) -> None:
    coordinator.expect("GET", "/v1/jobs/1", (200, make_job(1)))

    async def cell() -> tuple[int, int]:
        with Client(coordinator.url) as client:
            first = client.job(1).job
        async with AsyncClient(coordinator.url) as client_:
            return first, (await client_.job(1)).job

    assert asyncio.run(cell()) == (1, 1)


def test_the_asynchronous_client_has_every_verb_of_the_other() -> None:
    def verbs(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(member).parameters)
            for name, member in vars(kind).items()
            if inspect.isfunction(member) and not name.startswith("_")
        }

    assert verbs(AsyncClient) == verbs(Client)


def test_the_asynchronous_client_asks_and_follows(coordinator: Coordinator) -> None:
    events = b'id: 7\nevent: job-state\ndata: {"state": "completed"}\n\n'
    coordinator.expect("GET", "/v1/jobs/3", (200, make_job(3)))
    coordinator.expect("GET", "/v1/jobs/3/events", (200, events))

    async def use() -> tuple[answers.Job, JobEvent]:
        async with AsyncClient(coordinator.url) as client:
            job = await client.job(3)
            return job, await anext(client.watch(3))

    job, event = asyncio.run(use())
    assert (job.job, job.escrow) == (3, 10**21)
    assert event == JobEvent("7", "job-state", {"state": "completed"})


def test_the_asynchronous_client_raises_the_same_errors(coordinator: Coordinator) -> None:
    async def ask() -> None:
        async with AsyncClient(coordinator.url) as client:
            await client.job(99)

    with pytest.raises(CoordinatorError) as caught:
        asyncio.run(ask())
    assert caught.value.code == "not-found"


def make_offer():  # type: ignore[no-untyped-def]
    spec, model = Digest(b"s" * 32), Digest(b"m" * 32)
    parameters = compute_parameters(EXAMPLE.terms, spec=spec, model=model, now=NOW)
    return sign_offer(FakeReader(), ACCOUNT, parameters, EXAMPLE.escrow, now=NOW)  # type: ignore[arg-type]


def test_offer_is_signed_by_the_requester_for_the_real_board() -> None:
    offer = make_offer()
    digest = hash_job_offer(
        FakeReader.deployment.board_domain,
        ACCOUNT.address,
        compute_parameters_hash(offer.parameters),
        EXAMPLE.escrow,
        offer.nonce,
        offer.deadline,
    )
    assert recover_compact(digest, offer.signature) == ACCOUNT.address
    assert offer.deadline == NOW + 3600


def test_permit_allows_the_board_exactly_the_escrow() -> None:
    permit = make_offer().permit
    document = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Permit": [
                {"name": "owner", "type": "address"},
                {"name": "spender", "type": "address"},
                {"name": "value", "type": "uint256"},
                {"name": "nonce", "type": "uint256"},
                {"name": "deadline", "type": "uint256"},
            ],
        },
        "primaryType": "Permit",
        "domain": {
            "name": "Commonweal",
            "version": "1",
            "chainId": 31337,
            "verifyingContract": FakeReader.deployment["CommonwealToken"],
        },
        "message": {
            "owner": ACCOUNT.address,
            "spender": FakeReader.deployment["JobBoard"],
            "value": EXAMPLE.escrow,
            "nonce": 3,
            "deadline": NOW + 3600,
        },
    }
    vrs = (permit["v"], int(permit["r"], 16), int(permit["s"], 16))
    signable = encode_typed_data(full_message=document)
    assert Account.recover_message(signable, vrs=vrs) == ACCOUNT.address


def test_two_offers_have_different_nonces() -> None:
    assert make_offer().nonce != make_offer().nonce


def test_offer_as_json_is_what_the_coordinator_reads() -> None:
    from service.offers import OfferForm

    offer = make_offer()
    form = OfferForm.model_validate(json.loads(json.dumps(offer.to_json())))
    assert form.parameters.to_parameters() == offer.parameters


def make_offer_state(state: str, **more: object) -> dict[str, object]:
    return {"id": "abc", "intent": "offer:abc", "state": state, "job": None} | more


def test_waits_until_the_offer_is_mined(client: Client, coordinator: Coordinator) -> None:
    states = [make_offer_state("accepted"), make_offer_state("mined", job=12)]
    coordinator.expect("GET", "/v1/offers/abc", *((200, state) for state in states))
    assert client._wait_for_job("abc", 5.0) == 12


def test_refused_offer_gives_the_reason(client: Client, coordinator: Coordinator) -> None:
    refused = make_offer_state("refused", reason="escrow-too-low")
    coordinator.expect("GET", "/v1/offers/abc", (200, refused))
    with pytest.raises(OfferRefused, match="escrow-too-low"):
        client._wait_for_job("abc", 5.0)


def test_offer_that_goes_nowhere_times_out(client: Client, coordinator: Coordinator) -> None:
    coordinator.expect("GET", "/v1/offers/abc", (200, make_offer_state("sent")))
    with pytest.raises(OfferTimeout):
        client._wait_for_job("abc", 0.05)


def test_problem_keeps_its_code(client: Client) -> None:
    with pytest.raises(CoordinatorError) as caught:
        client.job(5)
    assert caught.value.code == "not-found"
    assert caught.value.message == "/v1/jobs/5"


def test_answer_that_is_no_problem_document(client: Client, coordinator: Coordinator) -> None:
    coordinator.expect("GET", "/v1/jobs", (502, b"<html>bad gateway</html>"))
    with pytest.raises(CoordinatorError) as caught:
        client.jobs()
    assert caught.value.code == "http-502"


def test_watch_skips_pings_and_resumes_after_a_break(
    client: Client, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commonweal.client.RECONNECT_SECONDS", 0.0)
    first = b': ping\n\nid: 1\nevent: RoundOpened\ndata: {"round": 1}\n\n'
    second = b'id: 2\nevent: JobStateChanged\ndata: {"state": "completed"}\n\n'
    coordinator.expect("GET", "/v1/jobs/1/events", (200, first), (200, second))
    events = client.watch(1)
    assert next(events) == JobEvent("1", "RoundOpened", {"round": 1})
    assert next(events).data == {"state": "completed"}
    resumed = coordinator.requests[-1][3]
    assert resumed["Last-Event-ID"] == "1"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9",
        "http://a..b",
        "http://xn--a",
        "http://[zz]",
        "http://127.0.0.1:99999999999999999999",
    ],
)
def test_nobody_there(url: str) -> None:
    with Client(url) as client:
        with pytest.raises(CoordinatorUnreachable):
            client.network()
        with pytest.raises(CoordinatorUnreachable):
            next(client.watch(1))


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>hello</html>"), (301, b"")])
def test_an_answer_without_json_is_unreadable(
    client: Client, coordinator: Coordinator, status: int, body: bytes
) -> None:
    coordinator.expect("GET", "/v1/jobs", (status, body))
    with pytest.raises(AnswerUnreadable) as caught:
        client.jobs()
    assert caught.value.details == {"path": "/v1/jobs", "status": status}


def test_an_event_without_json_is_unreadable(client: Client, coordinator: Coordinator) -> None:
    coordinator.expect("GET", "/v1/jobs/1/events", (200, b"id: 1\ndata: {\n\n"))
    with pytest.raises(AnswerUnreadable):
        next(client.watch(1))


class OneModel:
    """A chain with one final round, and where its specification is; weights are nowhere."""

    deployment = FakeReader.deployment

    def fetch_head(self) -> Block:
        return FakeReader().fetch_head()

    def fetch_events(self, *_: int) -> list[RoundFinalised]:
        ref = EventRef(9, bytes(32), bytes(32), 0, NOW)
        return [RoundFinalised(ref, 1, 1, Digest(b"\x05" * 32), bytes(32))]

    def fetch_job(self, *_: int) -> Any:
        return SimpleNamespace(parameters=SimpleNamespace(spec_digest=Digest(b"\x06" * 32)))

    def fetch_manifest(self, digest: Digest) -> Any:
        assert digest == b"\x06" * 32, "the model itself was asked for"
        return EXAMPLE.spec


def test_too_large_a_model_is_refused_before_it_is_fetched() -> None:
    chain: Any = OneModel()
    size = 4 * (64 * 128 + 128 + 128 * 10 + 10)
    with pytest.raises(ModelTooLarge) as caught:
        fetch_job_model(chain, chain, 1, max_model_bytes=size - 1)
    assert caught.value.details == {"size": size, "limit": size - 1}
    with pytest.raises(AssertionError, match="the model itself"):
        fetch_job_model(chain, chain, 1, max_model_bytes=size)
