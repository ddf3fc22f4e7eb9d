"""Whatever goes wrong while something is sent: it waits again, and is not lost."""

from __future__ import annotations

from typing import Any, cast

import pytest
from scripted_chain import NOBODY, ScriptedChain, word
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from commonweal.adapters.raw_transactions import Receipt
from commonweal.protocol.messages import UpdateCommitmentMessage
from commonweal.protocol.types import Wei
from service import relay as relay_module
from service.batching import Batch
from service.mailbox import Mailbox
from service.relay import Relay

AWAY = OperationalError("SELECT 1", {}, Exception("the database went away"))
COMMITMENT = UpdateCommitmentMessage(
    job=1, round=1, member=0, commitment="0x" + word(1).hex(), signature="0x" + "11" * 64
)
RECEIPT = Receipt(word(7), 1, 21_000, Wei(1))


class Sender:
    """Mines all of it at once in block 1, but for what goes wrong."""

    def __init__(self, *troubles: Exception) -> None:
        self.troubles = list(troubles)

    def send(self, *_: object, **__: object) -> Receipt:
        if self.troubles:
            raise self.troubles.pop()
        return RECEIPT


class Chain(ScriptedChain):
    """Its node loses its tongue over events, once."""

    is_mute = False

    def fetch_events(self, from_block: int, to_block: int) -> Any:
        if self.is_mute:
            self.is_mute = False
            raise AWAY
        return super().fetch_events(from_block, to_block)


@pytest.fixture
def mailbox(database: Engine) -> Mailbox:
    return Mailbox(database)


@pytest.fixture(autouse=True)
def _any_offer(monkeypatch: pytest.MonkeyPatch) -> None:
    call = relay_module.ContractCall("JobBoard", "createJobFor", ())
    monkeypatch.setattr(relay_module, "offer_call", lambda _: call)


def build_relay(chain: ScriptedChain, sender: Sender, mailbox: Mailbox) -> Relay:
    return Relay(cast(Any, chain), cast(Any, sender), mailbox, cast(Any, None))


def build_batch(mailbox: Mailbox) -> Batch:
    mailbox.post(COMMITMENT)
    letters = tuple(mailbox.fetch_waiting()[1])
    call = relay_module.ContractCall("Rounds", "commitUpdates", ())
    return Batch(1, COMMITMENT.kind, letters, (call,))


def test_letters_wait_again_when_the_database_was_away_in_the_middle(mailbox: Mailbox) -> None:
    batch = build_batch(mailbox)
    relay = build_relay(Chain(), Sender(AWAY), mailbox)
    with pytest.raises(OperationalError):
        relay.send(batch)
    assert mailbox.fetch(batch.ids[0]).state == "accepted"
    relay.send(batch)
    assert mailbox.fetch(batch.ids[0]).state == "mined"


def test_an_offer_waits_again_when_its_job_cannot_be_looked_for(mailbox: Mailbox) -> None:
    offer, chain = mailbox.post_offer("1", NOBODY, {}), Chain()
    chain.is_mute = True
    relay = build_relay(chain, Sender(AWAY), mailbox)
    for _ in range(2):  # while it is sent, and after that
        with pytest.raises(OperationalError):
            relay.send_offer(offer)
        assert mailbox.fetch_offer("1").state == "accepted"
    relay.send_offer(offer)
    assert mailbox.fetch_offer("1").state == "mined"
