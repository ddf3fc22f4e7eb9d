"""What becomes of a stored transaction when some endpoints cannot say whether they know it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from eth_account import Account
from hexbytes import HexBytes
from web3.exceptions import TransactionNotFound

from commonweal.adapters.codec import ContractReverted
from commonweal.adapters.failover import AbsenceUnproven
from commonweal.adapters.outbox import MINED, REVERTED, SIGNED, StoredTransaction
from commonweal.adapters.raw_transactions import Fees, sign_transaction
from commonweal.adapters.transactions import (
    TransactionPending,
    TransactionSender,
    TransactionSuperseded,
)

STORED = StoredTransaction("intent", 3, b"\x01", bytes(32), SIGNED)


class Chain:
    """Its mined nonce is `mined`; asked for a transaction it raises `trouble`."""

    chain_id = 1

    def __init__(self, mined: int, trouble: Exception) -> None:
        self.mined, self.trouble = mined, trouble
        self.sent: list[bytes] = []
        self.web3 = SimpleNamespace(eth=self)
        self.block_number = 7

    def ask(self, request: Any) -> Any:
        return request()

    def fetch(self, _nonce: object) -> int:
        return self.mined

    def get_transaction(self, _: bytes) -> None:
        raise self.trouble

    def get_transaction_receipt(self, _: bytes) -> Any:
        raise self.trouble

    def send_raw_transaction(self, signed: bytes) -> None:
        self.sent.append(signed)


class Outbox:
    def __init__(self, stored: StoredTransaction = STORED) -> None:
        self.stored = stored
        self.discarded: list[StoredTransaction] = []
        self.marks: list[str] = []

    def find(self, *_: object) -> StoredTransaction:
        return self.stored

    find_by_nonce = find

    def find_pending(self, *_: object) -> list[StoredTransaction]:
        return []

    def discard(self, _: int, __: str, stored: StoredTransaction) -> None:
        self.discarded.append(stored)

    def mark(self, _: int, __: str, ___: StoredTransaction, state: str) -> None:
        self.marks.append(state)


def send(chain: Chain, outbox: Outbox) -> None:
    account = Account.from_key(b"\x01" * 32)
    sender = TransactionSender(cast(Any, chain), account, cast(Any, outbox))
    cast(Any, sender)._reader.encode = lambda *_: ("0x", b"")
    sender.send("intent", "Rounds", "seal", timeout=0.8)


def test_it_is_superseded_only_if_all_endpoints_say_that_they_do_not_know_it() -> None:
    outbox = Outbox()
    with pytest.raises(TransactionPending):
        send(Chain(4, AbsenceUnproven("one of two is away")), outbox)
    assert outbox.discarded == []
    with pytest.raises(TransactionSuperseded):
        send(Chain(4, TransactionNotFound("none has it")), outbox)
    assert outbox.discarded == [STORED]


def test_while_one_endpoint_is_away_it_is_broadcast_again_all_the_same() -> None:
    chain = Chain(3, AbsenceUnproven("one of two is away"))
    with pytest.raises(TransactionPending):
        send(chain, Outbox())
    assert len(chain.sent) > 1


def test_what_a_reorganisation_lost_is_sent_again_before_what_waits_for_it() -> None:
    lost = StoredTransaction("earlier", 2, b"\x02", b"\x02" * 32, MINED)

    class WithEarlier(Outbox):
        def find_by_nonce(self, _: int, __: str, nonce: int) -> StoredTransaction:
            return lost if nonce == 2 else STORED

    chain = Chain(2, TransactionNotFound("the node forgot both"))
    with pytest.raises(TransactionPending):
        send(chain, WithEarlier())
    assert chain.sent[1:3] == [lost.signed, STORED.signed]  # after the first attempt


def test_why_a_transaction_reverted_is_found_out_without_asking_for_it() -> None:
    """A node may have the receipt and, a moment later or behind another door, not this."""
    to, data = "0x" + "22" * 20, b"\x05\x06"
    chain = Reverting(4, TransactionNotFound("it does not know it any more"))
    account, fees = Account.from_key(b"\x01" * 32), Fees(2, 1)
    signed = sign_transaction(cast(Any, chain), account, 3, 9, data, cast(Any, to), fees=fees)
    outbox = Outbox(replace(STORED, signed=bytes(signed.raw_transaction)))
    with pytest.raises(ContractReverted, match="OfferUsed"):
        send(chain, outbox)
    assert outbox.marks == [REVERTED]
    assert (HexBytes(chain.simulated["to"]), chain.simulated["data"]) == (HexBytes(to), data)


class Reverting(Chain):
    """Has mined the transaction, without effect."""

    simulated: dict[str, Any]

    def get_transaction_receipt(self, tx_hash: bytes) -> dict[str, Any]:
        numbers = {"status": 0, "blockNumber": 7, "gasUsed": 1, "effectiveGasPrice": 1}
        return {"transactionHash": tx_hash, **numbers}

    def simulate(self, call: dict[str, Any], at: int) -> None:
        self.simulated = call
        if at < 7:
            raise ContractReverted("OfferUsed")
