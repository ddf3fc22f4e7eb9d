"""Relay first, own transaction when that does not help, never silence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from agent_samples import DOMAIN, sign_ballot, sign_model, sign_update
from eth_account import Account

from commonweal.adapters.chain import ContractReverted
from commonweal.protocol.batches import BallotOpening, CommitmentBatch, RoundRecord
from commonweal.protocol.messages import Message
from commonweal.protocol.receipts import RelayReceipt, compute_id, sign_receipt
from commonweal.protocol.types import Address
from node_agent.decisions import open_ballot, open_update
from node_agent.errors import MessageRefused, NoCoordinator
from node_agent.journal import Journal
from node_agent.receipts import Receipts
from node_agent.senders import DirectSender, RelaySender, Sending, compute_calls

MESSAGE = sign_update().message
KEY = b"\x77" * 32
URLS = ("http://one", "http://two")


@dataclass
class OwnWay:
    """Stands for the chain: what was sent alone."""

    gas: bool = True
    sent: list[Sending] = field(default_factory=list)

    def has_gas(self) -> bool:
        return self.gas

    def submit(self, sending: Sending) -> None:
        self.sent.append(sending)


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def accept(_: httpx.Request) -> httpx.Response:
    return httpx.Response(202, json={"id": "7", "state": "accepted"})


def refuse(_: httpx.Request) -> httpx.Response:
    return httpx.Response(409, json={"code": "phase-wrong", "detail": "the phase is over"})


def die(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def make_relay(
    own: OwnWay,
    clock: Clock,
    *,
    patience: float = 5.0,
    receipts: Receipts | None = None,
    **hosts: Callable[..., httpx.Response],
) -> tuple[RelaySender, list[str]]:
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url.host}")
        answer = hosts[request.url.host](request)
        return httpx.Response(answer.status_code, stream=httpx.ByteStream(answer.content))

    client = httpx.Client(transport=httpx.MockTransport(handle))
    take = partial(_take, receipts)
    relay = RelaySender(URLS, client, own, patience=patience, take_receipt=take, clock=clock)  # type: ignore[arg-type]
    return relay, asked


def _take(receipts: Receipts | None, url: str, message: Message, answer: object) -> bool:
    return receipts is None or receipts.take(url, message, answer)


def sending(message: Message = MESSAGE, left: float = 60.0) -> Sending:
    return Sending(message, 10, left)


def test_posts_once_to_the_first_that_answers() -> None:
    own, clock = OwnWay(), Clock()
    relay, asked = make_relay(own, clock, one=die, two=accept)
    for _ in range(5):
        relay.submit(sending())
        clock.now += 0.1
    assert asked == ["POST one", "POST two"]
    assert own.sent == []


def test_an_acceptance_without_a_genuine_receipt_is_none(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", DOMAIN)
    receipts = Receipts(journal, DOMAIN)
    coordinator = Address(Account.from_key(KEY).address)
    other = sign_receipt(KEY, coordinator, DOMAIN, "ab" * 32, 5)
    good = sign_receipt(KEY, coordinator, DOMAIN, compute_id(MESSAGE), 5)

    def answer(receipt: RelayReceipt) -> Callable[..., httpx.Response]:
        shown = asdict(receipt) | {"signature": "0x" + receipt.signature.hex()}
        body = {"id": "7", "state": "accepted", "receipt": shown}
        return lambda _: httpx.Response(202, json=body)

    for bad in (accept, answer(other), answer(replace(good, received_at=6))):
        own = OwnWay()
        relay, _ = make_relay(own, Clock(), receipts=receipts, one=bad, two=bad)
        relay.submit(sending())
        assert len(own.sent) == 1
    assert receipts.all() == []
    own = OwnWay()
    relay, asked = make_relay(own, Clock(), receipts=receipts, one=accept, two=answer(good))
    relay.submit(sending())
    assert (asked, own.sent) == (["POST one", "POST two"], [])
    (kept,) = receipts.all()
    assert (kept.receipt, kept.message, kept.url) == (good, MESSAGE, URLS[1])
    journal.close()


def test_posts_the_message_as_it_is() -> None:
    bodies: list[Any] = []

    def keep(request: httpx.Request) -> httpx.Response:
        bodies.append(type(MESSAGE).model_validate_json(request.content))
        return accept(request)

    relay, _ = make_relay(OwnWay(), Clock(), one=keep, two=keep)
    relay.submit(sending())
    assert bodies == [MESSAGE]


def test_goes_alone_when_the_relay_takes_too_long() -> None:
    own, clock = OwnWay(), Clock()
    relay, _ = make_relay(own, clock, one=accept, two=accept)
    relay.submit(sending())
    clock.now += 4.9
    relay.submit(sending(left=55.1))
    assert own.sent == []
    clock.now += 0.2
    relay.submit(sending(left=54.9))
    assert len(own.sent) == 1


def test_is_less_patient_when_the_phase_ends_soon() -> None:
    own, clock = OwnWay(), Clock()
    relay, _ = make_relay(own, clock, one=accept, two=accept)
    relay.submit(sending(left=4.0))
    clock.now += 2.5
    relay.submit(sending(left=1.5))
    assert len(own.sent) == 1


@pytest.mark.parametrize("host", [die, refuse])
def test_goes_alone_at_once_when_nobody_takes_it(host: Callable[..., httpx.Response]) -> None:
    own = OwnWay()
    relay, _ = make_relay(own, Clock(), one=host, two=host)
    relay.submit(sending())
    assert len(own.sent) == 1


def test_without_gas_it_says_why_nobody_took_it() -> None:
    relay, _ = make_relay(OwnWay(gas=False), Clock(), one=die, two=refuse)
    with pytest.raises(MessageRefused, match="phase-wrong"):
        relay.submit(sending())


def test_without_gas_and_coordinators_it_says_so() -> None:
    relay, _ = make_relay(OwnWay(gas=False), Clock(), one=die, two=die)
    with pytest.raises(NoCoordinator, match="ConnectError"):
        relay.submit(sending())


def test_without_gas_it_waits_for_a_slow_relay() -> None:
    own, clock = OwnWay(gas=False), Clock()
    relay, _ = make_relay(own, clock, one=accept, two=accept)
    for _ in range(20):
        relay.submit(sending())
        clock.now += 1.0
    assert own.sent == []


def test_posts_again_when_the_relay_dropped_it() -> None:
    states = iter(["refused"])

    def drop(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return accept(request)
        return httpx.Response(200, json={"id": "7", "state": next(states), "reason": "restart"})

    clock = Clock()
    relay, asked = make_relay(OwnWay(), clock, patience=60.0, one=drop, two=accept)
    relay.submit(sending())
    clock.now += 2.5
    relay.submit(sending())
    assert asked == ["POST one", "GET one", "POST one"]


def test_answers_that_are_no_json_are_survived() -> None:
    def babble(_: httpx.Request) -> httpx.Response:
        return httpx.Response(502, text="<html>")

    relay, _ = make_relay(OwnWay(gas=False), Clock(), one=babble, two=babble)
    with pytest.raises(MessageRefused, match="HTTP 502"):
        relay.submit(sending())


UPDATE = sign_update()
BALLOT = sign_ballot()
RECORD = RoundRecord(
    job=1,
    round=1,
    batches=(
        CommitmentBatch(0, ((0, b"\x0a" * 32),)),
        CommitmentBatch(1, ((1, bytes.fromhex(UPDATE.message.commitment[2:])), (3, b"\x0b" * 32))),
    ),
    ballots={1: BallotOpening(b"\0\1\0\2", b"\x0c" * 16)},
)


def test_a_lone_reveal_repeats_its_batch() -> None:
    (call,) = compute_calls(open_update(UPDATE), lambda *_: RECORD)
    batch, members, opened, openings = call.args[2:]  # type: ignore[misc]
    assert (batch, members, opened) == (1, b"\0\1\0\3", 1)
    assert openings == UPDATE.content + UPDATE.salt + b"\x0b" * 32


def test_a_lone_ballot_repeats_those_revealed_so_that_it_can_complete_them() -> None:
    (call,) = compute_calls(open_ballot(BALLOT, 0), lambda *_: RECORD)
    assert call.args[2:] == (
        b"\0\1",
        BALLOT.content + b"\0\1\0\2",
        BALLOT.salt + b"\x0c" * 16,
        (),
    )


@pytest.mark.parametrize("entry", [UPDATE, BALLOT, sign_model()])
def test_signed_messages_need_no_record(entry: Any) -> None:
    def fail(*_: int) -> RoundRecord:
        raise AssertionError

    (call,) = compute_calls(entry.message, fail)
    assert call.args[:2] == (1, 1)


@dataclass
class Transactions:
    """Stands for the outbox: raises what it is told to, remembers intents."""

    reverts: list[str] = field(default_factory=list)
    intents: list[str] = field(default_factory=list)

    def send(self, intent: str, *_: object, gas: int | None, timeout: float) -> None:
        self.intents.append(intent)
        if self.reverts:
            raise ContractReverted(self.reverts.pop(0))


def make_direct(transactions: Transactions) -> DirectSender:
    return DirectSender(None, "0x", SimpleNamespace(record=int), transactions)  # type: ignore[arg-type]


def test_a_failed_attempt_keeps_its_intent_and_a_mined_one_gets_another() -> None:
    transactions = Transactions(reverts=["PhaseWrong"])
    direct = make_direct(transactions)
    with pytest.raises(ContractReverted):
        direct.submit(sending())
    direct.submit(sending())
    direct.submit(sending())
    first, second, third = transactions.intents
    assert first == second != third


def test_what_is_on_chain_already_is_no_failure() -> None:
    make_direct(Transactions(reverts=["AlreadyCommitted"])).submit(sending())
