"""A receipt of a block that the chain drops is no reason to think a message mined."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import scripted_chain as script
from scripted_chain import NOBODY, ScriptedChain, word
from sqlalchemy import Engine

from commonweal.adapters.transactions import Receipt
from commonweal.protocol.messages import UpdateCommitmentMessage
from commonweal.protocol.transitions import apply, start
from commonweal.protocol.types import Job, JobState, Wei
from service.batching import Batch
from service.chainstore import ChainStore
from service.indexer import Indexer
from service.mailbox import ACCEPTED, MINED, Mailbox
from service.relay import Relay
from service.repository import Repository
from service.views import JobView

JOB = Job(1, NOBODY, JobState.RUNNING, 1, 0, 0, 3, 3, 3, Wei(1), Wei(1), script.PARAMETERS)
MEMBERS = (0, 1)
RECEIPT = Receipt(b"\x01" * 32, 5, 21_000, Wei(1))


def commitment(member: int) -> UpdateCommitmentMessage:
    return UpdateCommitmentMessage(
        job=1,
        round=1,
        member=member,
        commitment="0x" + word(100 + member).hex(),
        signature="0x" + "11" * 64,
    )


def grow() -> ScriptedChain:
    """Its last block, the fourth, opens the first round."""
    chain = ScriptedChain()
    for scripts in (script.register(), script.create_job(), script.join(), script.open_round(1)):
        chain.mine(scripts)
    return chain


def look(chain: ScriptedChain, database: Engine) -> JobView:
    """What the followed chain shows of the job."""
    indexer = Indexer(chain, ChainStore(database, 31_337, NOBODY), first_block=0)
    while indexer.step() is not None:
        pass
    created, *events = [e for e in chain.fetch_events(0, 99) if getattr(e, "job", None) == 1]
    state = start(created)  # type: ignore[arg-type]
    for event in events:
        state = apply(state, event)
    record = Repository(database).fetch_record(1, state.round.round)
    return JobView(JOB, state.round, (), record, chain.fetch_head())


@pytest.fixture
def mailbox(database: Engine) -> Mailbox:
    return Mailbox(database)


@pytest.fixture
def relay(database: Engine, mailbox: Mailbox) -> Relay:
    """Every transaction of it gets a receipt at once, of the block after `grow()`."""
    reader = SimpleNamespace(encode=lambda *_: (NOBODY, b""))
    sender = SimpleNamespace(send=lambda *_, **__: RECEIPT)
    return Relay(cast(Any, reader), cast(Any, sender), mailbox, Repository(database))


def send(relay: Relay, mailbox: Mailbox) -> list[str]:
    ids = [mailbox.post(commitment(member)).id for member in MEMBERS]
    letters = tuple(mailbox.fetch_waiting()[1])
    call = cast(Any, SimpleNamespace(contract="Rounds", function="commitUpdates", args=()))
    relay.send(Batch(1, "update-commitment", letters, (call,)))
    assert states(mailbox, ids) == {MINED}
    return ids


def states(mailbox: Mailbox, ids: list[str]) -> set[str]:
    return {mailbox.fetch(each).state for each in ids}


def test_what_a_dropped_block_had_is_accepted_again(
    database: Engine, mailbox: Mailbox, relay: Relay
) -> None:
    chain = grow()
    view = look(chain, database)
    ids = send(relay, mailbox)  # in block 5, which is dropped before anybody here has seen it
    relay.reconsider(view, view.at.number)
    assert states(mailbox, ids) == {MINED}  # block 5 may still come
    chain.mine([], salt="another block 5")
    view = look(chain, database)
    relay.reconsider(view, view.at.number)
    assert states(mailbox, ids) == {ACCEPTED}
    assert mailbox.fetch(ids[0]).tx is None
    assert len(mailbox.fetch_waiting()[1]) == len(MEMBERS)


def test_what_the_chain_shows_stays_mined(database: Engine, mailbox: Mailbox, relay: Relay) -> None:
    chain = grow()
    ids = send(relay, mailbox)
    chain.mine(script.commit(1, MEMBERS)[:1])
    view = look(chain, database)
    for _ in range(2):
        relay.reconsider(view, view.at.number)
    assert states(mailbox, ids) == {MINED}
    assert mailbox.fetch(ids[0]).tx == RECEIPT.tx_hash


def test_what_is_too_late_to_send_again_is_left_alone(
    database: Engine, mailbox: Mailbox, relay: Relay
) -> None:
    chain = grow()
    ids = send(relay, mailbox)
    chain.mine(script.commit(1, [2]))  # others, and the phase is over
    view = look(chain, database)
    relay.reconsider(view, view.at.number)
    assert states(mailbox, ids) == {MINED}
