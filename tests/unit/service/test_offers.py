"""An offer is mined while the chain that is followed has its job, and finds the job it has made."""

from __future__ import annotations

from typing import Any, cast

import pytest
import scripted_chain as script
from scripted_chain import OWNERS, PARAMETERS, ScriptedChain
from sqlalchemy import Engine

from commonweal.adapters.chain import ContractReverted
from commonweal.adapters.raw_transactions import Receipt
from commonweal.protocol.types import Wei
from service.chainstore import ChainStore
from service.eventjson import encode_fields
from service.indexer import Indexer
from service.mailbox import Mailbox
from service.offers import OfferForm
from service.relay import Relay
from service.repository import Repository

OFFER = OfferForm(
    requester=OWNERS[3].lower(),
    parameters=cast(Any, encode_fields(PARAMETERS)),
    escrow=2 * 10**20,
    nonce=1,
    deadline=9_000,
    signature="0x" + "11" * 64,
)
ID = OFFER.offer_id


class Chain(ScriptedChain):
    """A board on which the offer is used once a job is there."""

    def call(self, contract: str, function: str, *args: object, at: object) -> bool:
        assert (contract, function, args) == ("JobBoard", "isOfferUsed", (OWNERS[3], 1))
        return any(events for _, events in self.blocks)

    def send(
        self, _intent: str, _contract: str, _function: str, *_: object, gas: object
    ) -> Receipt:
        if any(events for _, events in self.blocks):
            raise ContractReverted("OfferUsed")
        self.mine(script.create_job())
        return self.last_receipt()

    def last_receipt(self) -> Receipt:
        ((created,),) = (events for _, events in self.blocks[-1:])
        return Receipt(created.ref.tx_hash, created.ref.block_number, 21_000, Wei(1))


@pytest.fixture
def mailbox(database: Engine) -> Mailbox:
    mailbox = Mailbox(database)
    mailbox.post_offer(ID, OFFER.requester, OFFER.model_dump(mode="json"))
    return mailbox


def build_relay(chain: Chain, mailbox: Mailbox, database: Engine) -> Relay:
    return Relay(cast(Any, chain), cast(Any, chain), mailbox, Repository(database))


def look(chain: ScriptedChain, database: Engine) -> None:
    indexer = Indexer(chain, ChainStore(database, 31_337, script.NOBODY), first_block=0)
    while indexer.step() is not None:
        pass


def fork(chain: Chain) -> Chain:
    """Without the offer's block."""
    return Chain(chain.blocks[:1])


def test_an_offer_of_a_dropped_block_is_sent_again(database: Engine, mailbox: Mailbox) -> None:
    chain = Chain()
    build_relay(chain, mailbox, database).send_offer(mailbox.fetch_offer(ID))
    assert mailbox.fetch_offer(ID).job == 1
    look(chain, database)
    other = fork(chain)
    other.mine([], salt="another block 1")
    look(other, database)
    again = mailbox.fetch_offer(ID)
    assert (again.state, again.tx, again.job) == ("accepted", None, None)
    build_relay(other, mailbox, database).send_offer(again)
    assert mailbox.fetch_offer(ID).tx == other.last_receipt().tx_hash


def test_an_offer_whose_block_was_dropped_before_it_was_seen_is_sent_again(
    database: Engine, mailbox: Mailbox
) -> None:
    chain = Chain()
    other = fork(chain)
    look(chain, database)
    build_relay(chain, mailbox, database).send_offer(mailbox.fetch_offer(ID))
    mailbox.reopen_lost_offers(0)
    assert mailbox.fetch_offer(ID).state == "mined"  # its block may still come
    other.mine(script.create_job(), salt="somebody else's")
    look(other, database)
    mailbox.reopen_lost_offers(1)
    again = mailbox.fetch_offer(ID)
    assert (again.state, again.tx, again.job) == ("accepted", None, None)


def test_an_offer_that_the_chain_shows_stays_mined(database: Engine, mailbox: Mailbox) -> None:
    chain = Chain()
    build_relay(chain, mailbox, database).send_offer(mailbox.fetch_offer(ID))
    look(chain, database)
    mailbox.reopen_lost_offers(1)
    assert mailbox.fetch_offer(ID).state == "mined"


def test_an_offer_whose_nonce_is_used_finds_its_job_as_soon_as_that_is_followed(
    database: Engine, mailbox: Mailbox
) -> None:
    chain = Chain()
    chain.mine(script.create_job())
    relay = build_relay(chain, mailbox, database)
    relay.send_offer(mailbox.fetch_offer(ID))
    assert mailbox.fetch_offer(ID).state == "accepted"
    look(chain, database)
    relay.send_offer(mailbox.fetch_offer(ID))
    found = mailbox.fetch_offer(ID)
    assert (found.state, found.job, found.tx) == ("mined", 1, chain.last_receipt().tx_hash)


def test_an_offer_whose_nonce_went_to_other_terms_is_refused_in_the_end(
    database: Engine, mailbox: Mailbox
) -> None:
    chain = Chain()
    chain.mine(script.register())  # a job of other terms is as good as none
    look(chain, database)
    relay = build_relay(chain, mailbox, database)
    for _ in range(6):
        assert mailbox.fetch_offer(ID).state == "accepted"
        relay.send_offer(mailbox.fetch_offer(ID))
    assert mailbox.fetch_offer(ID).reason == "offer-used"


def test_one_job_is_not_found_for_two_offers_of_the_same_terms(
    database: Engine, mailbox: Mailbox
) -> None:
    chain, repository = Chain(), Repository(database)
    build_relay(chain, mailbox, database).send_offer(mailbox.fetch_offer(ID))
    look(chain, database)
    assert repository.find_created_job(*OFFER.terms) is None
    chain.mine(script.create_job(2))
    look(chain, database)
    found = repository.find_created_job(*OFFER.terms)
    assert found is not None
    assert found["job"] == 2
