"""Sends transactions so that a crash at any point neither loses nor repeats one.

Stored (`outbox`) before broadcast; found again by intent; rebroadcast after a restart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from eth_account.datastructures import SignedTransaction
from eth_account.signers.local import LocalAccount
from hexbytes import HexBytes
from web3.exceptions import TransactionNotFound
from web3.types import TxReceipt

from commonweal.adapters.chain import ChainReader
from commonweal.adapters.codec import ContractReverted
from commonweal.adapters.outbox import (
    MINED,
    REVERTED,
    SIGNED,
    Outbox,
    SlotTaken,
    StoredTransaction,
    create_outbox_tables,
    outbox_metadata,
)
from commonweal.adapters.rpc import ChainRefused, ChainUnavailable
from commonweal.errors import Conflict, Unavailable
from commonweal.protocol.types import Address, Wei

__all__ = [
    "Outbox",
    "Receipt",
    "TransactionPending",
    "TransactionSender",
    "create_outbox_tables",
    "outbox_metadata",
]

log = structlog.get_logger(__name__)

MAX_GAS = 16_777_216  # EIP-7825: no chain takes a transaction above this
# A block later the same call may have more to do: the first reveal after the seed block draws the
# committee too. Gas that is not used is not paid.
_HEADROOM = 500_000
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25


class TransactionPending(Unavailable):
    """Stored and broadcast, but not mined in time; the same intent waits for it again."""

    code = "transaction-pending"


class TransactionSuperseded(Conflict):
    """Its nonce went to a transaction from outside this outbox; the intent is free again."""

    code = "transaction-superseded"


@dataclass(frozen=True, slots=True)
class Receipt:
    tx_hash: bytes
    block_number: int
    gas_used: int
    fee: Wei  # of the chain, in its native coin


class TransactionSender:
    """All transactions of one account. Threads may share it; processes may share its outbox."""

    def __init__(self, reader: ChainReader, account: LocalAccount, outbox: Outbox) -> None:
        self._reader = reader
        self._account = account
        self._outbox = outbox
        self._lock = threading.Lock()
        self._is_behind = True  # something stored may never have been broadcast
        self.address = Address(account.address)

    def send(
        self,
        intent: str,
        contract: str,
        function: str,
        *args: object,
        gas: int | None = None,
        timeout: float = 60,
    ) -> Receipt:
        """Does `intent` once, however often it is asked for, and returns its receipt.

        A call that would revert raises ContractReverted and costs nothing. One that reverts only
        when mined raises it too; having had no effect, its intent may be sent again.
        Raises ChainUnavailable, ChainRefused, TransactionPending, TransactionSuperseded.
        """
        with self._lock:
            self._catch_up()
            stored = self._find_or_store(intent, contract, function, args, gas)
            if stored.state == SIGNED:
                self._broadcast(stored)
        return self._wait(stored, timeout)

    def recover(self, timeout: float = 60) -> list[str]:
        """After a restart: broadcasts again what was stored and not mined; returns its intents."""
        with self._lock:
            self._is_behind = True
            pending = self._catch_up()
        for stored in pending:
            self._settle(stored, timeout)
        return [stored.intent for stored in pending]

    @property
    def _chain_id(self) -> int:
        return self._reader.chain_id

    def _find_or_store(
        self, intent: str, contract: str, function: str, args: tuple[object, ...], gas: int | None
    ) -> StoredTransaction:
        to, data = self._reader.encode(contract, function, *args)
        while True:
            stored = self._outbox.find(self._chain_id, self.address, intent)
            if stored is not None and stored.state != REVERTED:
                return stored
            limit = self._compute_gas(to, data, gas)
            stored = self._sign(intent, to, data, limit)
            try:
                self._outbox.store(self._chain_id, self.address, stored)
            except SlotTaken:
                continue
            return stored

    def _compute_gas(self, to: Address, data: bytes, gas: int | None) -> int:
        """Both ways simulate the call, so that a revert is found before anything is stored."""
        call: Any = {"from": self.address, "to": to, "data": data}
        if gas is not None:
            self._reader.simulate(call | {"gas": gas}, "latest")
            return gas
        estimate = self._reader.ask(lambda: self._reader.web3.eth.estimate_gas(call))
        return min(estimate * 12 // 10 + _HEADROOM, MAX_GAS)

    def _sign(self, intent: str, to: Address, data: bytes, gas: int) -> StoredTransaction:
        least = fetch_nonce(self._reader, self.address)
        nonce = self._outbox.find_free_nonce(self._chain_id, self.address, least)
        signed = sign_transaction(self._reader, self._account, nonce, gas, data, to)
        raw, tx_hash = bytes(signed.raw_transaction), bytes(signed.hash)
        return StoredTransaction(intent, nonce, raw, tx_hash, SIGNED)

    def _catch_up(self) -> list[StoredTransaction]:
        """Nonces ascending, so that none waits for another that was never sent."""
        if not self._is_behind:
            return []
        pending = self._outbox.find_pending(self._chain_id, self.address)
        for stored in pending:
            with suppress(ChainRefused, ContractReverted):
                self._broadcast(stored)
        self._is_behind = False
        return pending

    def _broadcast(self, stored: StoredTransaction) -> None:
        send = self._reader.web3.eth.send_raw_transaction
        try:
            self._reader.ask(lambda: send(stored.signed))
        except ChainUnavailable:
            self._is_behind = True
            raise
        except (ChainRefused, ContractReverted) as error:
            # Known already; or its nonce is mined; or it waits for an earlier one. Some nodes
            # answer with the revert of a transaction that they have mined all the same.
            if self._is_known(stored) or self._fetch_mined_nonce() != stored.nonce:
                return
            self._outbox.discard(self._chain_id, self.address, stored)
            log.warning("transaction refused", intent=stored.intent, reason=str(error))
            raise

    def _wait(self, stored: StoredTransaction, timeout: float) -> Receipt:
        receipt = self._settle(stored, timeout)
        if receipt is None:
            message = f"{stored.intent} is not mined after {timeout:g} s"
            raise TransactionPending(message, intent=stored.intent, seconds=timeout)
        if receipt["status"] == 0:
            raise self._find_reason(stored, receipt["blockNumber"])
        fee = Wei(receipt["gasUsed"] * receipt["effectiveGasPrice"])
        return Receipt(stored.tx_hash, receipt["blockNumber"], receipt["gasUsed"], fee)

    def _settle(self, stored: StoredTransaction, timeout: float) -> TxReceipt | None:
        """Waits for the receipt and notes the outcome; None if it is not mined in time."""
        receipt = wait_for_receipt(
            self._reader, stored.tx_hash, timeout, lambda: self._push(stored)
        )
        if receipt is not None and stored.state == SIGNED:
            state = MINED if receipt["status"] else REVERTED
            self._outbox.mark(self._chain_id, self.address, stored, state)
            log.info("transaction mined", intent=stored.intent, state=state, gas=receipt["gasUsed"])
        return receipt

    def _push(self, stored: StoredTransaction) -> None:
        """Nodes forget transactions, and some keep none that waits for an earlier one."""
        if self._is_known(stored):
            return
        if self._fetch_mined_nonce() <= stored.nonce:
            with self._lock:
                self._broadcast(stored)
        elif not self._is_known(stored):  # it may have been mined between the two questions
            self._outbox.discard(self._chain_id, self.address, stored)
            message = f"nonce {stored.nonce} of {stored.intent} went to another transaction"
            raise TransactionSuperseded(message, intent=stored.intent, nonce=stored.nonce)

    def _is_known(self, stored: StoredTransaction) -> bool:
        try:
            self._reader.ask(
                lambda: self._reader.web3.eth.get_transaction(HexBytes(stored.tx_hash))
            )
        except TransactionNotFound:
            return False
        return True

    def _fetch_mined_nonce(self) -> int:
        """The first nonce that no mined transaction has."""
        return fetch_nonce(self._reader, self.address, "latest")

    def _find_reason(self, stored: StoredTransaction, block: int) -> ContractReverted:
        """Plays the transaction again where it stood; a loser in its own block keeps its secret."""
        mined = self._reader.web3.eth.get_transaction(HexBytes(stored.tx_hash))
        call: Any = {"from": self.address, "to": mined["to"], "data": mined["input"]}
        for at in (block, block - 1):
            try:
                self._reader.simulate(call, at)
            except ContractReverted as reason:
                return reason
        return ContractReverted()


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
    """EIP-1559, ready for a base fee that doubles; without `to` it creates a contract."""
    tip = reader.ask(lambda: reader.web3.eth.max_priority_fee)
    base = reader.ask(lambda: reader.web3.eth.get_block("latest"))["baseFeePerGas"]
    transaction: dict[str, Any] = {
        "chainId": reader.chain_id,
        "nonce": nonce,
        "gas": gas,
        "maxPriorityFeePerGas": tip,
        "maxFeePerGas": 2 * base + tip,
        "data": data,
        "value": value,
    }
    if to is not None:
        transaction["to"] = to
    return account.sign_transaction(transaction)


def wait_for_receipt(
    reader: ChainReader, tx_hash: bytes, timeout: float, check: Callable[[], None] | None = None
) -> TxReceipt | None:
    """None after `timeout` seconds. `check` runs between two looks, and may raise."""
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    while True:
        try:
            return reader.ask(lambda: reader.web3.eth.get_transaction_receipt(HexBytes(tx_hash)))
        except TransactionNotFound:
            if time.monotonic() >= deadline:
                return None
        if check is not None and pause >= _LONGEST_PAUSE:
            check()
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
