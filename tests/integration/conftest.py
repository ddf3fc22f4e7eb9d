"""A real Hardhat node with the contracts on it, for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from contracts_stage import Stage
from eth_account import Account
from sqlalchemy import create_engine

from commonweal.adapters.deploying import deploy
from commonweal.adapters.local_chain import LocalChain, fund
from commonweal.adapters.transactions import create_outbox_tables
from commonweal.protocol.types import Address, Wei

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def local_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalChain]:
    log_file = tmp_path_factory.mktemp("chain") / "hardhat.log"
    with LocalChain(PROJECT, log_file=log_file) as chain:
        yield chain


@pytest.fixture(scope="module")
def stage(local_chain: LocalChain, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    deployer = Account.create()
    fund(local_chain.rpc_url, Address(deployer.address), Wei(1_000 * 10**18))
    deployment = deploy(local_chain.rpc_url, deployer)
    engine = create_engine(f"sqlite:///{tmp_path_factory.mktemp('stage')}/outbox.sqlite")
    create_outbox_tables(engine)
    return Stage(local_chain.rpc_url, deployment, deployer, engine)
