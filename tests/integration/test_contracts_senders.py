"""Several keys on a real node: faster together, and a crash at any point repeats nothing."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from contracts_stage import ETHER, Stage
from coordinator_stage import wait_for
from eth_account import Account
from eth_account.signers.local import LocalAccount
from sqlalchemy import Engine, create_engine

from commonweal.adapters.assignments import Assignments
from commonweal.adapters.chain import ChainReader
from commonweal.adapters.raw_transactions import fetch_nonce
from commonweal.adapters.rpc import ChainRefused
from commonweal.adapters.sender_pool import SenderPool
from commonweal.adapters.transactions import Outbox, TransactionSender, create_outbox_tables
from commonweal.protocol.types import Address

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

# Dies by its own hand: with the intent assigned, with it stored, or with it broadcast.
CRASH = """
import os, sys
from pathlib import Path
from eth_account import Account
from sqlalchemy import create_engine
from commonweal.adapters.transactions import TransactionSender
from commonweal.adapters.chain import ChainReader
from commonweal.adapters.deployment import load_deployment
from test_contracts_senders import build_pool

rpc, addresses, keys, database, at, target = sys.argv[1:]
reader = ChainReader(rpc, load_deployment(Path(addresses)))
accounts = [Account.from_key(key) for key in keys.split()]
pool = build_pool(reader, accounts, create_engine(database))
setattr(TransactionSender, at, lambda *args, **options: os._exit(9))
pool.send("gift", "CommonwealToken", "transfer", target, 5)
"""


def build_pool(reader: ChainReader, accounts: list[LocalAccount], engine: Engine) -> SenderPool:
    outbox, chain_id = Outbox(engine), reader.deployment.chain_id
    senders = [TransactionSender(reader, account, outbox) for account in accounts]
    return SenderPool(senders, outbox, Assignments(engine, chain_id, senders[0].address), chain_id)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{tmp_path}/outbox.sqlite")
    create_outbox_tables(engine)
    return engine


@pytest.fixture
def payers(stage: Stage) -> list[LocalAccount]:
    return [stage.account(tokens=ETHER) for _ in range(3)]


def count_sent(stage: Stage, payers: list[LocalAccount]) -> list[int]:
    return [fetch_nonce(stage.reader, Address(payer.address)) for payer in payers]


def test_what_is_asked_for_at_once_is_shared_and_done_once(
    payers: list[LocalAccount], quiet: Stage, engine: Engine
) -> None:
    pool, target = build_pool(quiet.reader, payers, engine), Address(Account.create().address)
    intents = [f"gift {number // 2}" for number in range(24)]  # each twice

    def give(intent: str) -> int:
        return pool.send(intent, "CommonwealToken", "transfer", target, 5).block_number

    with ThreadPoolExecutor(len(intents)) as threads:
        given = [threads.submit(give, intent) for intent in intents]
        wait_for(lambda: sum(count_sent(quiet, payers)) == 12)
        counts = count_sent(quiet, payers)
        quiet.mine(1)
        blocks = {each.result() for each in given}
    assert len(blocks) == 1
    assert quiet.balance(target) == 12 * 5
    assert count_sent(quiet, payers) == counts
    assert min(counts) >= 2


@pytest.mark.parametrize("at", ["send", "_broadcast", "_wait"])
def test_a_crash_loses_nothing_and_repeats_nothing(
    stage: Stage, payers: list[LocalAccount], engine: Engine, tmp_path: Path, at: str
) -> None:
    target = stage.account().address
    stage.deployment.save(tmp_path / "addresses.json")
    keys = " ".join(payer.key.hex() for payer in payers)
    arguments = [stage.rpc_url, str(tmp_path / "addresses.json"), keys, str(engine.url), at, target]
    command = [sys.executable, "-c", CRASH, *arguments]
    folder = Path(__file__).parent
    assert subprocess.run(command, check=False, timeout=120, cwd=folder).returncode == 9
    pool = build_pool(stage.reader, payers, engine)
    assert pool.recover() == ([] if at == "send" else ["gift"])
    pool.send("gift", "CommonwealToken", "transfer", target, 5)
    assert stage.balance(target) == 5
    assert sum(count_sent(stage, payers)) == 1


def test_a_key_without_gas_money_leaves_it_to_the_others(
    stage: Stage, payers: list[LocalAccount], engine: Engine
) -> None:
    poor: LocalAccount = Account.create()
    stage.send(stage.deployer, "CommonwealToken", "transfer", poor.address, ETHER)
    pool, target = build_pool(stage.reader, [poor, payers[0]], engine), stage.account().address
    gift = ("CommonwealToken", "transfer", target, 5)
    with pytest.raises(ChainRefused, match="funds"):
        pool.send("gift 0", *gift)
    for number in range(4):
        pool.send(f"gift {number}", *gift)
    assert count_sent(stage, [poor, payers[0]]) == [0, 4]
    assert stage.balance(target) == 20
