"""Agents, two coordinators on one PostgreSQL and a chain, all as processes, for job after job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
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
from commonweal.protocol.events import ChainEvent, StakeSlashed
from commonweal.protocol.specs import AggregationSpec
from commonweal.protocol.types import Address, Phase, Wei
from node_agent.server import ContentServer
from tests.chaos.chain import ROOT, Anvil
from tests.chaos.proxy import FaultyProxy
from tests.integration.agents_harness import ETHER, SPEC, AgentNetwork, AgentProcess

# The plain mean does not depend on who sits in a committee, so that runs can be compared.
MEAN = SPEC.model_copy(update={"aggregation": AggregationSpec(rule="mean")})
_LITTLE = Wei(10**18)  # of stake, since every job locks it
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
        with suppress(FileNotFoundError):
            self.url = (self.folder / "endpoint").read_text().strip()
            return True
        return False

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
    first_block: int = 0  # of the job
    slashes_before: int = 0
    afterwards: list[Callable[[], None]] = field(default_factory=list)

    def start(self, count: int) -> None:
        """Everything that lives longer than one job."""
        network = self.agents
        for coordinator in self.coordinators:
            coordinator.start()
        for coordinator in self.coordinators:
            network.wait(coordinator.is_up, 120, "a coordinator")
        urls = [coordinator.url for coordinator in self.coordinators]
        for index in range(count):
            settings = {"coordinator": urls, "timing": _TIMING}
            if index == 0:
                settings["rpc_url"] = self.proxy.url
            start_agent(network.add_agent(f"node-{index}", index, count, **settings))

    def open_job(self) -> None:
        """The agents join one after another, so that members have the same numbers every time."""
        network = self.agents
        self.hold(signal.SIGSTOP)
        count, self.first_block = len(network.agents), network.head
        self.slashes_before = len(self.all_events(StakeSlashed))
        terms = {"min_trainers": count, "min_stake": _LITTLE}
        self.job = network.create_job(count, job_spec=MEAN, **terms)
        for number, agent in enumerate(network.agents, 1):
            agent.send_signal(signal.SIGCONT)
            self.wait(lambda n=number: len(network.members(self.job)) >= n, 120, "joining")  # type: ignore[misc]
        self.chain.settle()

    def hold(self, number: int) -> None:
        """SIGSTOP or SIGCONT, to all agents."""
        for agent in self.agents.agents:
            agent.send_signal(number)

    def all_events(self, kind: type[ChainEvent]) -> list[Any]:
        """Of all jobs."""
        reader = self.agents.reader
        found = reader.fetch_events(reader.deployment.deployed_block, self.agents.head)
        return [event for event in found if isinstance(event, kind)]

    def content_urls(self) -> list[str]:
        """Of everybody who has what the job made."""
        files = [agent.folder / "endpoint" for agent in self.agents.agents]
        urls = [file.read_text().strip() for file in files if file.exists()]
        return [coordinator.url for coordinator in self.coordinators] + urls

    def set_right(self) -> None:
        """What a fault left to be done when the job is over."""
        while self.afterwards:
            self.afterwards.pop()()

    def serve_requester(self) -> None:
        """Again, at the address that the agents know."""
        port = int(self.agents.server.url.rpartition(":")[2])
        self.agents.server = ContentServer(self.agents.store, "127.0.0.1", port)
        self.agents.server.start()

    def leader(self) -> Coordinator:
        found: list[Coordinator] = []

        def is_found() -> bool:
            found[:] = [each for each in self.coordinators if each.leads()]
            return bool(found)

        self.wait(is_found, 60, "a leader")
        return found[0]

    def is_job_over(self) -> bool:
        return self.agents.reader.fetch_job(self.job, self.agents.head).state.is_over

    def wait_phase(self, round_: int, phase: Phase, seconds: float = 120) -> None:
        """Or anything later."""

        def is_there() -> bool:
            if self.is_job_over():
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


def start_agent(agent: AgentProcess, skew: float = 0.0) -> None:
    """`skew`: seconds by which its clock is fast."""
    agent.start(str(skew), module=(str(Path(__file__).with_name("agent.py")),))


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
        agents.server.stop()
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
