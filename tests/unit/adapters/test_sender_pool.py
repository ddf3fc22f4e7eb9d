"""Several keys send as one: an intent is one key's, whatever happens in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from commonweal.adapters.assignments import Assignments
from commonweal.adapters.outbox import (
    MINED,
    SIGNED,
    Outbox,
    StoredTransaction,
    create_outbox_tables,
)
from commonweal.adapters.rpc import ChainRefused
from commonweal.adapters.sender_pool import SenderMissing, SenderPool
from commonweal.errors import CommonwealError
from commonweal.protocol.types import Address

CHAIN = 31_337
A, B, C = (Address(f"0x{letter}") for letter in "abc")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Sender:
    """Stores what it is asked to send; `trouble` comes before it has stored anything."""

    def __init__(self, address: Address, outbox: Outbox) -> None:
        self.address = address
        self.outbox = outbox
        self.sent: list[str] = []
        self.trouble: CommonwealError | None = None
        self.gate: threading.Barrier | None = None

    def send(self, intent: str, *_: object, gas: int | None, timeout: float) -> Any:
        if self.trouble is not None:
            raise self.trouble
        if intent not in self.sent:
            nonce = len(self.sent)
            stored = StoredTransaction(intent, nonce, b"", bytes(32), SIGNED)
            self.outbox.store(CHAIN, self.address, stored)
            self.sent.append(intent)
        if self.gate is not None:
            self.gate.wait(10)
        return f"{self.address} did {intent}"

    def finish(self, *intents: str) -> None:
        for intent in intents:
            stored = self.outbox.find(CHAIN, self.address, intent)
            assert stored is not None
            self.outbox.mark(CHAIN, self.address, stored, MINED)

    def recover(self, timeout: float) -> list[str]:
        return [stored.intent for stored in self.outbox.find_pending(CHAIN, self.address)]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url)
    create_outbox_tables(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def outbox(engine: Engine) -> Outbox:
    return Outbox(engine)


@pytest.fixture
def senders(outbox: Outbox) -> dict[Address, Sender]:
    return {address: Sender(address, outbox) for address in (A, B, C)}


def make_pool(
    engine: Engine, senders: dict[Address, Sender], *addresses: Address, clock: Clock | None = None
) -> SenderPool:
    chosen: list[Any] = [senders[address] for address in addresses]
    assignments = Assignments(engine, CHAIN, A)
    return SenderPool(chosen, Outbox(engine), assignments, CHAIN, clock=clock or Clock())


def test_who_has_least_under_way_is_next(engine: Engine, senders: dict[Address, Sender]) -> None:
    pool = make_pool(engine, senders, A, B, C)
    assert (pool.address, pool.addresses) == (A, (A, B, C))
    for number in range(6):
        pool.send(str(number), "X", "f")
    assert [len(senders[address].sent) for address in (A, B, C)] == [2, 2, 2]
    senders[B].finish(*senders[B].sent)
    pool.send("more", "X", "f")
    pool.send("and more", "X", "f")
    assert [len(senders[address].sent) for address in (A, B, C)] == [2, 4, 2]


def test_what_is_on_its_way_counts_before_it_is_stored(
    engine: Engine, senders: dict[Address, Sender]
) -> None:
    pool = make_pool(engine, senders, A, B)
    gate = threading.Barrier(2)
    for sender in senders.values():
        sender.gate = gate  # neither is done before both have begun
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda intent: pool.send(intent, "X", "f"), ("one", "two")))
    assert len(senders[A].sent) == len(senders[B].sent) == 1


def test_an_intent_stays_with_its_key(engine: Engine, senders: dict[Address, Sender]) -> None:
    first = make_pool(engine, senders, A, B)
    first.send("filler", "X", "f")
    answer = first.send("gift", "X", "f")
    senders[B].finish("gift")
    restarted = make_pool(engine, senders, A, B)
    assert restarted.send("gift", "X", "f") == answer
    assert senders[A].sent == ["filler"]


def test_of_two_processes_that_choose_at_once_one_choice_holds(
    engine: Engine, senders: dict[Address, Sender]
) -> None:
    """They look at the same moment and see different loads."""
    first, second = make_pool(engine, senders, A, B), make_pool(engine, senders, B, A)
    for number in range(20):
        intent, gate = f"gift {number}", threading.Barrier(2)

        def choose(pool: SenderPool, intent: str = intent, gate: Any = gate) -> Address:
            gate.wait(10)
            with pool._lock:
                return pool._choose(intent)

        with ThreadPoolExecutor(2) as threads:
            chosen = set(threads.map(choose, (first, second)))
        assert len(chosen) == 1


def test_what_one_key_had_stored_before_there_were_more_stays_its_own(
    engine: Engine, senders: dict[Address, Sender]
) -> None:
    senders[B].send("gift", gas=None, timeout=1)
    pool = make_pool(engine, senders, A, B)
    pool.send("gift", "X", "f")
    assert senders[A].sent == []


def test_a_key_that_is_refused_rests_and_another_does_it(
    engine: Engine, senders: dict[Address, Sender]
) -> None:
    clock = Clock()
    pool = make_pool(engine, senders, A, B, clock=clock)
    senders[A].trouble = ChainRefused("insufficient funds for gas")
    with pytest.raises(ChainRefused):
        pool.send("gift", "X", "f")
    for intent in ("gift", "second", "third"):
        pool.send(intent, "X", "f")
    assert senders[B].sent == ["gift", "second", "third"]
    senders[A].trouble, clock.now = None, 30.0
    pool.send("fourth", "X", "f")
    assert senders[A].sent == ["fourth"]


def test_trouble_after_it_was_stored_does_not_pass_it_on(
    engine: Engine, senders: dict[Address, Sender]
) -> None:
    pool = make_pool(engine, senders, A, B)
    pool.send("gift", "X", "f")
    senders[A].trouble = CommonwealError("not mined in time")
    with pytest.raises(CommonwealError):
        pool.send("gift", "X", "f")
    senders[A].trouble = None
    pool.send("gift", "X", "f")
    assert (senders[A].sent, senders[B].sent) == (["gift"], [])


def test_a_key_that_is_gone_keeps_what_it_signed_and_nothing_else(
    engine: Engine, senders: dict[Address, Sender]
) -> None:
    Assignments(engine, CHAIN, A).assign("never signed", B)
    pool = make_pool(engine, senders, A, B)
    pool.send("filler", "X", "f")
    pool.send("signed", "X", "f")
    assert senders[B].sent == ["signed"]
    smaller = make_pool(engine, senders, A)
    with pytest.raises(SenderMissing) as caught:
        smaller.send("signed", "X", "f")
    assert caught.value.details["sender"] == B
    smaller.send("never signed", "X", "f")
    assert senders[A].sent == ["filler", "never signed"]


def test_all_keys_recover(engine: Engine, senders: dict[Address, Sender]) -> None:
    pool = make_pool(engine, senders, A, B)
    for intent in ("one", "two", "three"):
        pool.send(intent, "X", "f")
    assert sorted(pool.recover(1)) == ["one", "three", "two"]
