"""The loop on a scripted chain."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from scripted_chain import NOBODY, ScriptedChain, register
from sqlalchemy import Engine as Database
from sqlalchemy.exc import TimeoutError as PoolExhausted

from commonweal.protocol.messages import JoinMessage
from service.chainstore import ChainStore
from service.engine import Engine
from service.indexer import Indexer
from service.leadership import open_leadership
from service.mailbox import SENT, Mailbox
from service.metrics import Metrics
from service.mirror import Mirror
from service.repository import Repository
from service.views import Views

JOIN = JoinMessage(job=1, provider=NOBODY, roles=1, stake=1, deadline=9, signature="0x" + "11" * 64)


class StuckSender:
    """Its only transaction is mined when the test says so."""

    def __init__(self) -> None:
        self.mined = threading.Event()

    def recover(self, timeout: float) -> list[str]:
        return [] if self.mined.wait(timeout) else ["stuck"]


class FullStore:
    """Its custodian has always something to do, and notes when it did."""

    def __init__(self) -> None:
        self.collected = threading.Event()

    def is_due(self) -> bool:
        return True

    def collect(self) -> None:
        self.collected.set()


NEVER_FULL = SimpleNamespace(is_due=lambda: False)


def build_engine(
    chain: ScriptedChain, database: Database, sender: StuckSender, custodian: object = NEVER_FULL
) -> Engine:
    reader, repository = cast(Any, chain), Repository(database)
    return Engine(
        reader,
        Indexer(chain, ChainStore(database, 31_337, NOBODY), first_block=0),
        Mirror(database),
        open_leadership(database),
        Views(reader, repository),
        Mailbox(database),
        repository,
        cast(Any, sender),
        cast(Any, custodian),
        Metrics(),
        poll_interval=0.01,
        relay_delay=0.0,
    )


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_chain_is_followed_while_a_stored_transaction_waits(database: Database) -> None:
    chain, sender, mailbox = ScriptedChain(), StuckSender(), Mailbox(database)
    sent = mailbox.post(JOIN).id
    mailbox.mark_sent([sent])
    engine = build_engine(chain, database, sender)
    engine.start()
    try:
        wait_for(lambda: engine.indexed == 0)
        chain.mine(register())
        wait_for(lambda: engine.indexed == 1)
        assert mailbox.fetch(sent).state == SENT  # perhaps it is in that transaction
        sender.mined.set()
        wait_for(lambda: mailbox.fetch(sent).reason == "job-over")
    finally:
        sender.mined.set()
        engine.stop()


def test_what_was_left_on_its_way_is_looked_at_again_without_a_restart(
    database: Database,
) -> None:
    chain, sender, mailbox = ScriptedChain(), StuckSender(), Mailbox(database)
    sender.mined.set()
    engine = build_engine(chain, database, sender)
    engine.start()
    try:
        posted = mailbox.post(JOIN).id
        wait_for(lambda: mailbox.fetch(posted).reason == "job-over")
        mailbox.mark_sent([posted])  # as if it could not be marked otherwise
        wait_for(lambda: mailbox.fetch(posted).state == "refused")
    finally:
        engine.stop()


def test_of_two_one_leads_and_the_other_follows_what_it_writes(database: Database) -> None:
    chain, sender, mailbox = ScriptedChain(), StuckSender(), Mailbox(database)
    sender.mined.set()
    first, second = (build_engine(chain, database, sender) for _ in range(2))
    first.start()
    try:
        wait_for(lambda: first.leads)
        second.start()
        chain.mine(register())
        wait_for(lambda: second.indexed == 1)
        assert not second.leads
        posted = mailbox.post(JOIN).id
        wait_for(lambda: mailbox.fetch(posted).reason == "job-over")  # the leader looked at it
        first.stop()
        wait_for(lambda: second.leads)
        chain.mine([])
        wait_for(lambda: second.indexed == 2)
    finally:
        first.stop()
        second.stop()


def test_who_does_not_lead_makes_room_in_its_own_store_once_all_is_followed(
    database: Database,
) -> None:
    chain, sender, store = ScriptedChain(), StuckSender(), FullStore()
    sender.mined.set()
    leader = open_leadership(database)
    assert leader.hold()
    other = build_engine(chain, database, sender, store)
    indexer = Indexer(chain, ChainStore(database, 31_337, NOBODY), first_block=0)
    chain.mine(register())
    other.start()
    try:
        assert not store.collected.wait(2.5)  # the leader has written nothing yet
        while indexer.step() is not None:
            pass
        assert store.collected.wait(30)
        assert not other.leads
    finally:
        other.stop()
        leader.release()


def test_a_pool_without_connections_is_a_database_that_is_away(database: Database) -> None:
    engine = build_engine(ScriptedChain(), database, StuckSender())

    def follow() -> None:
        raise PoolExhausted("QueuePool limit of size 5 overflow 10 reached")

    cast(Any, engine)._follow = follow
    engine.start()
    try:
        wait_for(lambda: engine.error == "database-unavailable")
    finally:
        engine.stop()
