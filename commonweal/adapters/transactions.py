"""Sends transactions so that a crash at any point neither loses nor repeats one.

Stored (`outbox`) before broadcast; found again by intent; rebroadcast after a restart; signed again
with the same nonce and higher fees when it is not mined for long.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog
from eth_account.datastructures import SignedTransaction
from eth_account.signers.local import LocalAccount
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes
from web3.exceptions import TransactionNotFound
from web3.types import TxReceipt

from commonweal.adapters.chain import ChainReader
from commonweal.adapters.codec import ContractReverted
from commonweal.adapters.failover import AbsenceUnproven
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
from commonweal.adapters.raw_transactions import (
    Fees,
    Receipt,
    build_receipt,
    fee_fields,
    fetch_fees,
    fetch_nonce,
    fetch_terms,
    find_receipt,
    poll,
    sign_transaction,
)
from commonweal.adapters.rpc import ChainRefused, ChainUnavailable
from commonweal.errors import Conflict, Unavailable
from commonweal.protocol.types import Address

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
REPLACE_SECONDS = 15.0
_SAME_IN_EVERY_VERSION = ("chainId", "nonce", "gas", "to", "data", "value")
_MOST_TIMES_MARKET = 8  # fees; where that is not enough, they are not what it waits for


class TransactionPending(Unavailable):
    """Stored and broadcast, but not mined in time; the same intent waits for it again."""

    code = "transaction-pending"


class TransactionSuperseded(Conflict):
    """Its nonce went to a transaction from outside this outbox; the intent is free again."""

    code = "transaction-superseded"


@dataclass(frozen=True, slots=True)
class Blocker:
    """The nonce that the chain waits for; all later ones wait for it too."""

    nonce: int
    since: float
    head: int


class TransactionSender:
    """All transactions of one account. Threads may share it; processes may share its outbox."""

    def __init__(
        self,
        reader: ChainReader,
        account: LocalAccount,
        outbox: Outbox,
        *,
        replace_after: float = REPLACE_SECONDS,
        note_receipt: Callable[[Receipt], None] = lambda _: None,
    ) -> None:
        """`replace_after`: seconds in which blocks come, but not the transaction that is next.

        `note_receipt` is told once of every transaction that is mined, reverted ones too.
        """
        self._note_receipt = note_receipt
        self._reader = reader
        self._account = account
        self._outbox = outbox
        self._lock = threading.Lock()
        self._is_behind = True  # something stored may never have been broadcast
        self._replace_after = replace_after
        self._blocker: Blocker | None = None
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
            stored = self._sign(intent, to, data, gas)
            try:
                self._outbox.store(self._chain_id, self.address, stored)
            except SlotTaken:
                continue
            return stored

    def _sign(self, intent: str, to: Address, data: bytes, gas: int | None) -> StoredTransaction:
        """The call is simulated first, so that a revert is found before anything is stored."""
        call = {"from": self.address, "to": to, "data": data}
        terms = fetch_terms(self._reader, call, gas)
        limit = terms.gas if gas is not None else min(terms.gas * 12 // 10 + _HEADROOM, MAX_GAS)
        nonce = self._outbox.find_free_nonce(self._chain_id, self.address, terms.nonce)
        fees = terms.fees
        signed = sign_transaction(self._reader, self._account, nonce, limit, data, to, fees=fees)
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
            if self._is_known(*stored.hashes) or self._fetch_mined_nonce() != stored.nonce:
                return
            if not stored.earlier_hashes:  # some node may still mine an earlier version
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
        return build_receipt(receipt)

    def _settle(self, stored: StoredTransaction, timeout: float) -> TxReceipt | None:
        """Waits for the receipt and notes the outcome; None if it is not mined in time."""
        receipt = poll(
            lambda: find_receipt(self._reader, self._reload(stored).hashes),
            timeout,
            lambda: self._push(stored),
        )
        if receipt is not None and stored.state == SIGNED:
            state = MINED if receipt["status"] else REVERTED
            self._outbox.mark(self._chain_id, self.address, stored, state)
            self._note_receipt(build_receipt(receipt))
            log.info("transaction mined", intent=stored.intent, state=state, gas=receipt["gasUsed"])
        return receipt

    def _push(self, stored: StoredTransaction) -> None:
        """Nodes forget transactions, keep none that waits for an earlier one, or mine none that
        pays too little."""
        mined = self._fetch_mined_nonce()
        if mined <= stored.nonce:
            with self._lock:
                self._unblock(mined)
                if mined < stored.nonce:
                    self._remind(mined)
                stored = self._reload(stored)
                if not self._may_be_known(stored.tx_hash, unproven=False):
                    self._broadcast(stored)
        elif not self._may_be_known(*self._reload(stored).hashes, unproven=True):
            self._outbox.discard(self._chain_id, self.address, stored)
            message = f"nonce {stored.nonce} of {stored.intent} went to another transaction"
            raise TransactionSuperseded(message, intent=stored.intent, nonce=stored.nonce)

    def _remind(self, nonce: int) -> None:
        """A reorganisation may lose what was mined, and nothing later is mined without it."""
        first = self._outbox.find_by_nonce(self._chain_id, self.address, nonce)
        if first is not None and not self._may_be_known(*first.hashes, unproven=True):
            with suppress(ChainRefused, ContractReverted):
                self._broadcast(first)

    def _reload(self, stored: StoredTransaction) -> StoredTransaction:
        """It may have been replaced, by another thread or process too."""
        found = self._outbox.find_by_nonce(self._chain_id, self.address, stored.nonce)
        return found if found is not None and found.intent == stored.intent else stored

    def _unblock(self, nonce: int) -> None:
        """Replaces the transaction that is next when blocks have come without it for long."""
        now, head = time.monotonic(), self._reader.ask(lambda: self._reader.web3.eth.block_number)
        before = self._blocker
        if before is None or before.nonce != nonce:
            self._blocker = Blocker(nonce, now, head)
        elif now - before.since >= self._replace_after and head > before.head:
            self._blocker = Blocker(nonce, now, head)
            stored = self._outbox.find_by_nonce(self._chain_id, self.address, nonce)
            if stored is not None:
                self._replace(stored)

    def _replace(self, stored: StoredTransaction) -> None:
        signed = self._sign_again(stored)
        if signed is None:
            return
        raw, tx_hash = bytes(signed.raw_transaction), bytes(signed.hash)
        new = self._outbox.replace(self._chain_id, self.address, stored, raw, tx_hash)
        if new is not None:
            log.info("transaction replaced", intent=new.intent, times=len(new.earlier_hashes))
            with suppress(ChainRefused, ContractReverted):
                self._broadcast(new)

    def _sign_again(self, stored: StoredTransaction) -> SignedTransaction | None:
        """The same with higher fees; None if they are far above what others pay."""
        before = TypedTransaction.from_bytes(HexBytes(stored.signed)).as_dict()
        bumped = Fees(before["maxFeePerGas"], before["maxPriorityFeePerGas"]).bump()
        market = fetch_fees(self._reader)
        if bumped.most > _MOST_TIMES_MARKET * market.most:
            return None
        tip = max(bumped.tip, market.tip)
        fees = Fees(max(bumped.most, market.most, tip), tip)
        same = {name: before[name] for name in _SAME_IN_EVERY_VERSION}
        return self._account.sign_transaction(same | fee_fields(fees))

    def _may_be_known(self, *hashes: bytes, unproven: bool) -> bool:
        """`unproven` where only some endpoints could be asked."""
        try:
            return self._is_known(*hashes)
        except AbsenceUnproven:
            return unproven

    def _is_known(self, *hashes: bytes) -> bool:
        """Any of them, mined or waiting."""
        return any(self._has_transaction(tx_hash) for tx_hash in hashes)

    def _has_transaction(self, tx_hash: bytes) -> bool:
        try:
            self._reader.ask(lambda: self._reader.web3.eth.get_transaction(HexBytes(tx_hash)))
        except TransactionNotFound:
            return False
        return True

    def _fetch_mined_nonce(self) -> int:
        """The first nonce that no mined transaction has."""
        return fetch_nonce(self._reader, self.address, "latest")

    def _find_reason(self, stored: StoredTransaction, block: int) -> ContractReverted:
        """Plays the transaction again where it stood; a loser in its own block keeps its secret."""
        mined = TypedTransaction.from_bytes(HexBytes(stored.signed)).as_dict()
        call = {"from": self.address, "to": mined["to"], "data": mined["data"]}
        for at in (block, block - 1):
            try:
                self._reader.simulate(call, at)
            except ContractReverted as reason:
                return reason
        return ContractReverted()
