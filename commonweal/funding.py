"""Giving an address of a test network what it needs to take part: tokens to stake, coin for gas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from eth_account.signers.local import LocalAccount
from eth_utils.address import is_address, to_checksum_address
from hexbytes import HexBytes
from sqlalchemy import create_engine

from commonweal.adapters.chain import ChainReader
from commonweal.adapters.codec import ContractReverted
from commonweal.adapters.raw_transactions import (
    fetch_nonce,
    sign_transaction,
    wait_for_receipt,
)
from commonweal.adapters.transactions import (
    Outbox,
    TransactionPending,
    TransactionSender,
    create_outbox_tables,
)
from commonweal.errors import Conflict, InvalidInput
from commonweal.protocol.types import Address, Wei

WHOLE = 10**18  # wei of a token, and of an ether
_TRANSFER_GAS = 21_000
_MINING_SECONDS = 60.0


class InvalidAddress(InvalidInput):
    code = "invalid-address"


class InvalidAmount(InvalidInput):
    code = "invalid-amount"


class TooLittleMoney(Conflict):
    code = "too-little-money"


class Transactions(TypedDict, total=False):
    """Hashes, 0x-hex."""

    tokens: str
    eth: str


@dataclass(frozen=True, slots=True)
class Gift:
    """Whole tokens and whole ether for one address."""

    to: Address
    tokens: int
    eth: int

    @property
    def tokens_wei(self) -> Wei:
        return Wei(self.tokens * WHOLE)

    @property
    def eth_wei(self) -> Wei:
        return Wei(self.eth * WHOLE)


def build_gift(to: str, *, tokens: int, eth: int) -> Gift:
    """Raises InvalidAddress, InvalidAmount."""
    if not is_address(to):
        raise InvalidAddress(f"{to!r} is not an address: 0x and 40 hexadecimal digits", address=to)
    if tokens < 0 or eth < 0 or tokens + eth == 0:
        message = f"{tokens} tokens and {eth} ETH: give at least 1 of either, and none below 0"
        raise InvalidAmount(message, tokens=tokens, eth=eth)
    return Gift(Address(to_checksum_address(to)), tokens, eth)


def give(reader: ChainReader, account: LocalAccount, gift: Gift) -> Transactions:
    """Both transfers, mined. Raises TooLittleMoney before anything is sent."""
    _require_money(reader, Address(account.address), gift)
    sent = Transactions()
    if gift.tokens:
        engine = create_engine("sqlite://")
        create_outbox_tables(engine)
        sender = TransactionSender(reader, account, Outbox(engine))
        arguments = ("CommonwealToken", "transfer", gift.to, gift.tokens_wei)
        sent["tokens"] = "0x" + sender.send("tokens", *arguments).tx_hash.hex()
    if gift.eth:
        sent["eth"] = "0x" + _send_coin(reader, account, gift).hex()
    return sent


def _require_money(reader: ChainReader, giver: Address, gift: Gift) -> None:
    tokens = reader.fetch_balance(giver, reader.fetch_head().number)
    coin = reader.ask(lambda: reader.web3.eth.get_balance(giver))  # type: ignore[arg-type]
    for unit, need, have in (("tokens", gift.tokens_wei, tokens), ("ETH", gift.eth_wei, coin)):
        if have < need:
            message = f"{giver} has {have / WHOLE:g} {unit}, not {need // WHOLE}"
            raise TooLittleMoney(message, unit=unit, have_wei=have, need_wei=need)


def _send_coin(reader: ChainReader, account: LocalAccount, gift: Gift) -> bytes:
    nonce = fetch_nonce(reader, Address(account.address))
    signed = sign_transaction(
        reader, account, nonce, _TRANSFER_GAS, b"", gift.to, value=gift.eth_wei
    )
    tx_hash = bytes(signed.hash)
    reader.ask(lambda: reader.web3.eth.send_raw_transaction(signed.raw_transaction))
    receipt = wait_for_receipt(reader, HexBytes(tx_hash), _MINING_SECONDS)
    if receipt is None:
        message = f"the ETH transfer is not mined after {_MINING_SECONDS:g} s"
        raise TransactionPending(message, transaction="0x" + tx_hash.hex())
    if receipt["status"] == 0:
        raise ContractReverted()
    return tx_hash
