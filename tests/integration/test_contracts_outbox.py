"""Sending: once per intent, whatever crashes, races or reverts. On a real node."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from contracts_stage import ETHER, Stage
from coordinator_stage import wait_for
from eth_account.signers.local import LocalAccount
from sqlalchemy import Engine, create_engine

from commonweal.adapters import transactions
from commonweal.adapters.chain import ChainReader
from commonweal.adapters.codec import ContractReverted, InvalidCall
from commonweal.adapters.outbox import MINED, REVERTED, SIGNED
from commonweal.adapters.raw_transactions import (
    Terms,
    fetch_fees,
    fetch_nonce,
    sign_transaction,
)
from commonweal.adapters.rpc import ChainRefused, ChainUnavailable, WrongChain
from commonweal.adapters.transactions import (
    REPLACE_SECONDS,
    Outbox,
    TransactionPending,
    TransactionSender,
    TransactionSuperseded,
    create_outbox_tables,
)
from commonweal.protocol.types import Address, Wei

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

# Dies by the process's own hand between the store and the broadcast, or right after the broadcast.
CRASH = """
import os, sys
from pathlib import Path
from eth_account import Account
from sqlalchemy import create_engine
from commonweal.adapters import transactions
from commonweal.adapters import transactions
from commonweal.adapters.chain import ChainReader
from commonweal.adapters.deployment import load_deployment

rpc, addresses, key, database, at, target = sys.argv[1:]
reader = ChainReader(rpc, load_deployment(Path(addresses)))
outbox = transactions.Outbox(create_engine(database))
sender = transactions.TransactionSender(reader, Account.from_key(key), outbox)
setattr(transactions.TransactionSender, at, lambda *args: os._exit(9))
sender.send("gift", "CommonwealToken", "transfer", target, 5)
"""


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{tmp_path}/outbox.sqlite")
    create_outbox_tables(engine)
    return engine


@pytest.fixture
def payer(stage: Stage) -> LocalAccount:
    return stage.account(tokens=ETHER)


def build_sender(
    stage: Stage, payer: LocalAccount, engine: Engine, replace_after: float = REPLACE_SECONDS
) -> TransactionSender:
    reader = ChainReader(stage.rpc_url, stage.deployment)
    return TransactionSender(reader, payer, Outbox(engine), replace_after=replace_after)


def state_of(stage: Stage, payer: LocalAccount, engine: Engine, intent: str) -> str | None:
    outbox, chain_id = Outbox(engine), stage.deployment.chain_id
    stored = outbox.find(chain_id, Address(payer.address), intent)
    return stored.state if stored else None


def test_an_intent_is_done_once(stage: Stage, payer: LocalAccount, engine: Engine) -> None:
    target = stage.account().address
    sender = build_sender(stage, payer, engine)
    first = sender.send("gift", "CommonwealToken", "transfer", target, 5)
    assert sender.send("gift", "CommonwealToken", "transfer", target, 5) == first
    restarted = build_sender(stage, payer, engine)
    assert restarted.send("gift", "CommonwealToken", "transfer", target, 5) == first
    assert restarted.recover() == []
    assert stage.balance(target) == 5
    assert fetch_nonce(stage.reader, Address(payer.address)) == 1


@pytest.mark.parametrize("at", ["_broadcast", "_wait"])
def test_a_crash_loses_nothing_and_repeats_nothing(
    stage: Stage, payer: LocalAccount, engine: Engine, tmp_path: Path, at: str
) -> None:
    target = stage.account().address
    stage.deployment.save(tmp_path / "addresses.json")
    arguments = [stage.rpc_url, str(tmp_path / "addresses.json"), payer.key.hex(), str(engine.url)]
    command = [sys.executable, "-c", CRASH, *arguments, at, target]
    assert subprocess.run(command, check=False, timeout=120).returncode == 9
    assert state_of(stage, payer, engine, "gift") == SIGNED
    sender = build_sender(stage, payer, engine)
    assert sender.recover() == ["gift"]
    assert sender.recover() == []
    assert state_of(stage, payer, engine, "gift") == MINED
    sender.send("gift", "CommonwealToken", "transfer", target, 5)
    sender.send("another", "CommonwealToken", "transfer", target, 5)
    assert stage.balance(target) == 10
    assert fetch_nonce(stage.reader, Address(payer.address)) == 2


def test_the_same_intent_after_a_crash_without_recover(
    stage: Stage, payer: LocalAccount, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = stage.account().address
    sender = build_sender(stage, payer, engine)

    def unplug(*_: object) -> None:
        raise ChainUnavailable("unplugged")

    with monkeypatch.context() as patch:
        patch.setattr(type(sender._reader.web3.eth), "send_raw_transaction", unplug)
        with pytest.raises(ChainUnavailable):
            sender.send("gift", "CommonwealToken", "transfer", target, 5)
    assert state_of(stage, payer, engine, "gift") == SIGNED
    # A later intent takes the next nonce, and waits behind the first one.
    threads = [
        threading.Thread(
            target=sender.send, args=(intent, "CommonwealToken", "transfer", target, 5)
        )
        for intent in ("later", "gift")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stage.balance(target) == 10


def test_many_threads_and_two_senders_of_one_account(
    stage: Stage, payer: LocalAccount, engine: Engine
) -> None:
    target = stage.account().address
    senders = [build_sender(stage, payer, engine) for _ in range(2)]
    errors: list[Exception] = []

    def work(number: int) -> None:
        try:
            for intent in (f"gift {number // 2}", f"own {number}"):
                senders[number % 2].send(intent, "CommonwealToken", "transfer", target, 1)
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert stage.balance(target) == 4 + 8


def test_a_call_that_would_revert_costs_nothing(
    stage: Stage, payer: LocalAccount, engine: Engine
) -> None:
    sender = build_sender(stage, payer, engine)
    for gas in (None, 200_000):
        with pytest.raises(ContractReverted) as raised:
            sender.send("greed", "CommonwealToken", "transfer", payer.address, 2 * ETHER, gas=gas)
        assert raised.value.code == "contract-reverted"
        assert raised.value.name == "ERC20InsufficientBalance"
        assert raised.value.arguments["needed"] == 2 * ETHER
    assert state_of(stage, payer, engine, "greed") is None
    assert fetch_nonce(stage.reader, Address(payer.address)) == 0


def test_a_transaction_that_reverts_when_mined_may_be_sent_again(
    stage: Stage, payer: LocalAccount, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = stage.account().address
    sender = build_sender(stage, payer, engine)
    with monkeypatch.context() as patch:
        unsimulated = Terms(100_000, 0, fetch_fees(stage.reader))
        patch.setattr(transactions, "fetch_terms", lambda *_: unsimulated)
        with pytest.raises(ContractReverted, match="ERC20InsufficientBalance"):
            sender.send("gift", "CommonwealToken", "transfer", target, 2 * ETHER)
    assert state_of(stage, payer, engine, "gift") == REVERTED
    assert fetch_nonce(stage.reader, Address(payer.address)) == 1
    stage.send(stage.deployer, "CommonwealToken", "transfer", payer.address, ETHER)
    sender.send("gift", "CommonwealToken", "transfer", target, 2 * ETHER)
    assert state_of(stage, payer, engine, "gift") == MINED
    assert stage.balance(target) == 2 * ETHER


def test_a_nonce_taken_from_outside(
    stage: Stage, payer: LocalAccount, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stored transaction can never be mined; it is said so, and its intent is free again."""
    target = stage.account().address
    sender = build_sender(stage, payer, engine)
    with monkeypatch.context() as patch:
        patch.setattr(TransactionSender, "_broadcast", lambda *_: None)
        patch.setattr(TransactionSender, "_wait", lambda *_: None)
        sender.send("gift", "CommonwealToken", "transfer", target, 5)
    to, data = stage.reader.encode("CommonwealToken", "transfer", target, 1)
    foreign = sign_transaction(stage.reader, payer, 0, 100_000, data, to)
    stage.reader.web3.eth.send_raw_transaction(foreign.raw_transaction)
    with pytest.raises(TransactionSuperseded) as raised:
        sender.send("gift", "CommonwealToken", "transfer", target, 5)
    assert raised.value.details == {"intent": "gift", "nonce": 0}
    sender.send("gift", "CommonwealToken", "transfer", target, 5)
    assert stage.balance(target) == 6


def test_one_that_pays_too_little_is_replaced_and_the_later_ones_follow(
    payer: LocalAccount, quiet: Stage, engine: Engine
) -> None:
    target = quiet.relay.address
    before = quiet.balance(target)
    sender = build_sender(quiet, payer, engine, replace_after=0.5)
    with ThreadPoolExecutor(2) as pool:
        gift = pool.submit(sender.send, "gift", "CommonwealToken", "transfer", target, 5)
        wait_for(lambda: fetch_nonce(quiet.reader, sender.address) == 1)
        later = pool.submit(sender.send, "later", "CommonwealToken", "transfer", target, 5)
        wait_for(lambda: fetch_nonce(quiet.reader, sender.address) == 2)
        quiet.tell_node("hardhat_setNextBlockBaseFeePerGas", hex(10**11))
        while not (gift.done() and later.done()):
            quiet.mine(1)
            time.sleep(0.1)
    stored = Outbox(engine).find(quiet.deployment.chain_id, sender.address, "gift")
    assert stored is not None
    assert (stored.state, stored.nonce) == (MINED, 0)
    assert stored.earlier_hashes
    assert gift.result().tx_hash in stored.hashes[:-1]
    assert later.result().block_number >= gift.result().block_number
    assert fetch_nonce(quiet.reader, sender.address) == 2
    assert quiet.balance(target) == before + 10


@pytest.mark.parametrize("is_sent", [False, True])
def test_after_a_restart_whichever_version_was_mined_counts(
    payer: LocalAccount, quiet: Stage, engine: Engine, is_sent: bool
) -> None:
    """A crash between storing a replacement and its broadcast leaves the first one to be mined."""
    target = quiet.relay.address
    before = quiet.balance(target)
    sender = build_sender(quiet, payer, engine)
    with pytest.raises(TransactionPending):
        sender.send("gift", "CommonwealToken", "transfer", target, 5, timeout=0)
    outbox, key = Outbox(engine), (quiet.deployment.chain_id, sender.address, "gift")
    first = outbox.find(*key)
    assert first is not None
    with pytest.MonkeyPatch.context() as patch:
        if not is_sent:
            patch.setattr(sender, "_broadcast", lambda *_: None)
        sender._replace(first)
        sender._replace(first)  # another thread had the same thought: once is enough
    second = outbox.find(*key)
    assert second is not None
    assert (second.nonce, second.earlier_hashes) == (first.nonce, (first.tx_hash,))
    quiet.mine(1)
    restarted = build_sender(quiet, payer, engine)
    assert restarted.recover(timeout=5) == ["gift"]
    receipt = restarted.send("gift", "CommonwealToken", "transfer", target, 5)
    assert receipt.tx_hash == (second.tx_hash if is_sent else first.tx_hash)
    assert fetch_nonce(quiet.reader, sender.address) == 1
    assert quiet.balance(target) == before + 5
    assert outbox.find_pending(*key[:2]) == []


def test_a_transaction_that_the_node_refuses_blocks_nothing(stage: Stage, engine: Engine) -> None:
    poor = stage.account(tokens=ETHER)
    sender = build_sender(stage, poor, engine)
    everything = stage.reader.web3.eth.get_balance(sender.address) - Wei(10**14)
    stage.reader.web3.eth.send_raw_transaction(_drain(stage, poor, everything))
    with pytest.raises((ChainRefused, ContractReverted)):
        sender.send("gift", "CommonwealToken", "transfer", stage.relay.address, 1, gas=10**6)
    assert state_of(stage, poor, engine, "gift") is None


def _drain(stage: Stage, account: LocalAccount, wei: int) -> bytes:
    # The base fee may rise by an eighth until the next block.
    fee = 2 * stage.reader.web3.eth.get_block("latest")["baseFeePerGas"]
    transaction = {
        "chainId": stage.deployment.chain_id,
        "nonce": 0,
        "gas": 21_000,
        "maxFeePerGas": fee,
        "maxPriorityFeePerGas": 0,
        "to": stage.relay.address,
        "value": wei - 21_000 * fee,
    }
    return bytes(account.sign_transaction(transaction).raw_transaction)


def test_arguments_that_do_not_fit(stage: Stage, payer: LocalAccount, engine: Engine) -> None:
    sender = build_sender(stage, payer, engine)
    with pytest.raises(InvalidCall):
        sender.send("x", "CommonwealToken", "transfer", "nobody", 1)
    with pytest.raises(InvalidCall):
        sender.send("x", "CommonwealToken", "burnDown")


def test_another_chain_than_the_deployments(stage: Stage) -> None:
    reader = ChainReader(stage.rpc_url, replace(stage.deployment, chain_id=5))
    with pytest.raises(WrongChain) as raised:
        reader.fetch_head()
    assert raised.value.details == {"have": 31_337, "need": 5}


def test_nobody_answers(stage: Stage) -> None:
    reader = ChainReader("http://127.0.0.1:9", stage.deployment, timeout=1)
    with pytest.raises(ChainUnavailable) as raised:
        reader.fetch_head()
    assert raised.value.code == "chain-unavailable"
