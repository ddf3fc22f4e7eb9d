"""A real Hardhat node with the contracts on it, and a coordinator, for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from contracts_stage import ETHER, Stage, Worker
from coordinator_stage import Coordinator, Troupe, recruit
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


@pytest.fixture
def quiet(stage: Stage) -> Iterator[Stage]:
    """Blocks come when the test says so."""
    stage.tell_node("evm_setAutomine", False)
    stage.tell_node("evm_setIntervalMining", 0)
    yield stage
    stage.tell_node("evm_setAutomine", True)
    stage.tell_node("evm_setIntervalMining", 250)
    stage.mine(1)


@pytest.fixture(scope="module")
def coordinator(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    coordinator = Coordinator(stage, tmp_path_factory.mktemp("coordinator"))
    coordinator.start()
    yield coordinator
    coordinator.close()


@pytest.fixture(scope="module")
def workers(stage: Stage) -> list[Worker]:
    """Rich enough for every job of this module."""
    return [stage.worker(stake=10_000 * ETHER) for _ in range(4)]


@pytest.fixture
def troupe(stage: Stage, coordinator: Coordinator, workers: list[Worker]) -> Troupe:
    """A job in its first COMMIT phase."""
    troupe = recruit(stage, coordinator, workers)
    coordinator.wait_phase(troupe.job, 1, "commit")
    return troupe


@pytest.fixture
def another(stage: Stage, tmp_path: Path) -> Iterator[Coordinator]:
    coordinator = Coordinator(stage, tmp_path)
    yield coordinator
    coordinator.close()
