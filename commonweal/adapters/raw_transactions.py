"""One transaction by itself: its nonce, its fees, its signature, and waiting for its receipt.

Nothing is stored here: whoever must neither lose nor repeat one uses `transactions`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from eth_account.datastructures import SignedTransaction
from eth_account.signers.local import LocalAccount
from hexbytes import HexBytes
from web3.exceptions import TransactionNotFound
from web3.types import TxReceipt

from commonweal.adapters.chain import ChainReader
from commonweal.adapters.failover import AbsenceUnproven
from commonweal.adapters.queries import (
    Query,
    ask_base_fee,
    ask_call,
    ask_gas,
    ask_nonce,
    ask_tip,
)
from commonweal.adapters.rpc import ChainRefused
from commonweal.protocol.types import Address, Wei

_FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.25


@dataclass(frozen=True, slots=True)
class Receipt:
    tx_hash: bytes
    block_number: int
    gas_used: int
    fee: Wei  # of the chain, in its native coin


@dataclass(frozen=True, slots=True)
class Fees:
    """In wei per gas."""

    most: int
    tip: int

    def bump(self) -> Fees:
        """An eighth more: with less, no node takes a transaction in the place of another."""
        return Fees(self.most * 9 // 8 + 1, self.tip * 9 // 8 + 1)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a transaction of one sender needs at this moment."""

    gas: int  # estimated, or as it was given
    nonce: int
    fees: Fees


def fetch_nonce(reader: ChainReader, sender: Address, which: str = "pending") -> int:
    return reader.fetch(ask_nonce(sender, which))


def fetch_terms(reader: ChainReader, call: Mapping[str, Any], gas: int | None) -> Terms:
    """`call`: from, to and data; it is simulated, and raises ContractReverted if it reverts.

    Without `gas` it is estimated. All of it in one exchange, where the node takes several requests.
    """
    trial: Query[Any] = ask_gas(call) if gas is None else ask_call({**call, "gas": gas}, "latest")
    queries = [trial, ask_nonce(call["from"], "pending"), ask_base_fee(), ask_tip()]
    result, nonce, base, tip = reader.ask_all(queries)
    found = result()
    fees = _compute_fees(base(), _take_tip(reader, tip))
    return Terms(found if gas is None else gas, nonce(), fees)


def sign_transaction(
    reader: ChainReader,
    account: LocalAccount,
    nonce: int,
    gas: int,
    data: bytes,
    to: Address | None = None,
    *,
    value: int = 0,
    fees: Fees | None = None,
) -> SignedTransaction:
    """EIP-1559; without `to` it creates a contract, without `fees` it pays what is usual."""
    transaction: dict[str, Any] = {
        "chainId": reader.chain_id,
        "nonce": nonce,
        "gas": gas,
        "data": data,
        "value": value,
        **fee_fields(fees or fetch_fees(reader)),
    }
    if to is not None:
        transaction["to"] = to
    return account.sign_transaction(transaction)


def fetch_fees(reader: ChainReader) -> Fees:
    base, tip = reader.ask_all([ask_base_fee(), ask_tip()])
    return _compute_fees(base(), _take_tip(reader, tip))


def _take_tip(reader: ChainReader, tip: Callable[[], int]) -> int:
    """Not every node knows the method: web3 has another way."""
    try:
        return tip()
    except ChainRefused:
        return reader.ask(lambda: reader.web3.eth.max_priority_fee)


def _compute_fees(base: int, tip: int) -> Fees:
    """Enough for a base fee that doubles."""
    return Fees(2 * base + tip, tip)


def fee_fields(fees: Fees) -> dict[str, int]:
    return {"maxFeePerGas": fees.most, "maxPriorityFeePerGas": fees.tip}


def wait_for_receipt(reader: ChainReader, tx_hash: bytes, timeout: float) -> TxReceipt | None:
    """None after `timeout` seconds."""
    return poll(lambda: find_receipt(reader, (tx_hash,)), timeout)


def build_receipt(receipt: TxReceipt) -> Receipt:
    fee = Wei(receipt["gasUsed"] * receipt["effectiveGasPrice"])
    tx_hash = bytes(receipt["transactionHash"])
    return Receipt(tx_hash, receipt["blockNumber"], receipt["gasUsed"], fee)


def find_receipt(reader: ChainReader, hashes: Sequence[bytes]) -> TxReceipt | None:
    """Of the first that is mined; None too if an endpoint that is away may know of one."""
    for tx_hash in map(HexBytes, hashes):
        with suppress(TransactionNotFound, AbsenceUnproven):
            return reader.ask(partial(reader.web3.eth.get_transaction_receipt, tx_hash))
    return None


def poll(
    look: Callable[[], TxReceipt | None], timeout: float, check: Callable[[], None] | None = None
) -> TxReceipt | None:
    """What `look` finds; None after `timeout` seconds. `check` runs between looks, may raise."""
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    while True:
        if (receipt := look()) is not None:
            return receipt
        if time.monotonic() >= deadline:
            return None
        if check is not None and pause >= LONGEST_PAUSE:
            check()
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
