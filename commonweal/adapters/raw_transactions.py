"""One transaction by itself: its nonce, its fees, its signature, and waiting for its receipt.

Nothing is stored here: whoever must neither lose nor repeat one uses `transactions`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
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


def fetch_nonce(reader: ChainReader, sender: Address, which: str = "pending") -> int:
    count = reader.web3.eth.get_transaction_count
    return reader.ask(lambda: count(sender, which))  # type: ignore[arg-type]


def sign_transaction(
    reader: ChainReader,
    account: LocalAccount,
    nonce: int,
    gas: int,
    data: bytes,
    to: Address | None = None,
    *,
    value: int = 0,
) -> SignedTransaction:
    """EIP-1559; without `to` it creates a contract."""
    transaction: dict[str, Any] = {
        "chainId": reader.chain_id,
        "nonce": nonce,
        "gas": gas,
        "data": data,
        "value": value,
        **fee_fields(fetch_fees(reader)),
    }
    if to is not None:
        transaction["to"] = to
    return account.sign_transaction(transaction)


def fetch_fees(reader: ChainReader) -> Fees:
    """Enough for a base fee that doubles."""
    tip = reader.ask(lambda: reader.web3.eth.max_priority_fee)
    base = reader.ask(lambda: reader.web3.eth.get_block("latest"))["baseFeePerGas"]
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
