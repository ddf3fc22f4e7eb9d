"""Agents, two coordinators on one PostgreSQL and a chain, all as processes, for one job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
from eth_account import Account
from sqlalchemy import create_engine

from commonweal.adapters.chain import ChainReader
from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.deploying import deploy, local_parameters
from commonweal.adapters.keystore import create_keystore
from commonweal.adapters.local_chain import LocalChain, fund
from commonweal.adapters.transactions import Outbox, TransactionSender, create_outbox_tables
from commonweal.errors import CommonwealError
from commonweal.protocol.specs import AggregationSpec
from commonweal.protocol.types import Address, Phase
from node_agent.server import ContentServer
from tests.chaos.chain import ROOT, Anvil
from tests.chaos.proxy import FaultyProxy
from tests.integration.agents_harness import ETHER, SPEC, AgentNetwork

# The plain mean does not depend on who sits in a committee, so that runs can be compared.
MEAN = SPEC.model_copy(update={"aggregation": AggregationSpec(rule="mean")})
_TIMING = {"relay_patience": 8.0, "keeper_patience": 8.0, "keeper_stagger": 0.5}


@dataclass
class Coordinator:
    folder: Path
    options: dict[str, object]
    process: subprocess.Popen[bytes] | None = None
    url: str = ""

    def start(self) -> None:
        endpoint = self.folder / "endpoint"
        endpoint.unlink(missing_ok=True)
        port = self.url.rpartition(":")[2] or "0"  # the same again: agents know the address
        flat = [str(part) for pair in self.options.items() for part in pair]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service", "run", *flat, "--port", port],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                start_new_session=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )

    def is_up(self) -> bool:
        endpoint = self.folder / "endpoint"
        if endpoint.exists():
            self.url = endpoint.read_text().strip()
        return endpoint.exists()

    def leads(self) -> bool:
        with suppress(httpx.HTTPError, ValueError):
            health = httpx.get(f"{self.url}/health", trust_env=False, timeout=2).json()
            return bool(health["leads"])
        return False

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(20)


@dataclass
class ChaosNetwork:
    chain: Anvil
    proxy: FaultyProxy
    agents: AgentNetwork
    coordinators: list[Coordinator] = field(default_factory=list)
    job: int = 0

    def start(self, count: int) -> None:
        """The agents join one after another, so that members have the same numbers every time."""
        network = self.agents
        for coordinator in self.coordinators:
            coordinator.start()
            network.wait(coordinator.is_up, 90, "a coordinator")
        urls = [coordinator.url for coordinator in self.coordinators]
        for index in range(count):
            settings = {"coordinator": urls, "timing": _TIMING}
            network.add_agent(f"node-{index}", index, count, **settings)
        self.job = network.create_job(count, job_spec=MEAN, min_trainers=count)
        for number, agent in enumerate(network.agents, 1):
            agent.start()
            self.wait(lambda n=number: len(network.members(self.job)) >= n, 120, "joining")  # type: ignore[misc]

    def leader(self) -> Coordinator:
        found: list[Coordinator] = []

        def is_found() -> bool:
            found[:] = [each for each in self.coordinators if each.leads()]
            return bool(found)

        self.wait(is_found, 60, "a leader")
        return found[0]

    def wait_phase(self, round_: int, phase: Phase, seconds: float = 120) -> None:
        """Or anything later."""

        def is_there() -> bool:
            if self.agents.reader.fetch_job(self.job, self.agents.head).state.is_over:
                return True
            now = self.agents.round(self.job)
            return (now.round, now.phase) >= (round_, phase)

        self.wait(is_there, seconds, f"{phase.name} of round {round_}")

    def wait(self, done: Any, seconds: float, what: str) -> None:
        """A chain that is away is asked again."""

        def is_done() -> bool:
            with suppress(CommonwealError):
                return bool(done())
            return False

        self.agents.wait(is_done, seconds, what)


@contextmanager
def chaos_network(folder: Path, database_url: str) -> Iterator[ChaosNetwork]:
    chain = Anvil(folder)
    chain.start()
    proxy = FaultyProxy(chain.rpc_url)
    account = Account.create()
    fund(chain.rpc_url, Address(account.address), ETHER)
    parameters = local_parameters(Address(Account.create().address))
    deployment = deploy(chain.rpc_url, account, parameters=parameters)
    deployment.save(folder / "deployment.json")
    engine = create_engine(f"sqlite:///{folder / 'deployer.db'}")
    create_outbox_tables(engine)
    reader = ChainReader(chain.rpc_url, deployment)
    store = EmbeddedStore(folder / "requester")
    server = ContentServer(store, "127.0.0.1", 0)
    server.start()
    deployer = TransactionSender(reader, account, Outbox(engine))
    agents = AgentNetwork(folder, cast(LocalChain, chain), reader, deployer, server, store)
    network = ChaosNetwork(chain, proxy, agents)
    try:
        for name in ("one", "two"):
            network.coordinators.append(_make_coordinator(folder / name, network, database_url))
        yield network
    finally:
        for coordinator in network.coordinators:
            coordinator.kill()
        agents.stop()
        server.stop()
        engine.dispose()
        proxy.close()
        chain.stop(signal.SIGKILL)


def _make_coordinator(folder: Path, network: ChaosNetwork, database_url: str) -> Coordinator:
    folder.mkdir()
    (folder / "password").touch(mode=0o600)
    (folder / "password").write_text("test\n")
    address = create_keystore(folder / "key.json", "test", light=True)
    fund(network.chain.rpc_url, address, ETHER)
    options: dict[str, object] = {
        "--rpc-url": network.proxy.url,
        "--deployment": network.agents.folder / "deployment.json",
        "--data-dir": folder,
        "--database-url": database_url,
        "--keystore": folder / "key.json",
        "--password-file": folder / "password",
    }
    return Coordinator(folder, options)
