"""A local network for the agents' tests: a Hardhat node, a requester, agents as real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import yaml
from eth_account import Account
from sqlalchemy import create_engine

from commonweal.adapters.chain import ChainReader
from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.deploying import deploy, local_parameters
from commonweal.adapters.keystore import create_keystore, load_account
from commonweal.adapters.local_chain import LocalChain, fund
from commonweal.adapters.transactions import Outbox, TransactionSender, create_outbox_tables
from commonweal.learning.weights import encode_weights, initial_weights
from commonweal.protocol.events import (
    ChainEvent,
    FaultProven,
    RoundFinalised,
    StakeSlashed,
    UnrevealedRecorded,
)
from commonweal.protocol.manifests import ModelManifest, compute_digest, encode_manifest
from commonweal.protocol.specs import DataSpec, JobSpec, LogisticModel, TrainingSpec
from commonweal.protocol.types import (
    ZERO_DIGEST,
    Address,
    Bps,
    Digest,
    JobParameters,
    JobState,
    Role,
    Round,
    Wei,
)
from node_agent.server import ContentServer

CHECKOUT = Path(__file__).resolve().parents[2]
ETHER = Wei(10 * 10**18)
STAKE = Wei(1000 * 10**18)
BOTH = Role.TRAINER | Role.VALIDATOR

SPEC = JobSpec(
    name="digits",
    model=LogisticModel(inputs=64, classes=10),
    training=TrainingSpec(learning_rate=0.2, epochs=2, seed=5),
    data=DataSpec(features=(64,), classes=10),
)


@dataclass(slots=True)
class AgentProcess:
    name: str
    folder: Path
    provider: Address
    operator: Address
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """Empty while it has not been started, or on a terminal."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self, *arguments: str, module: tuple[str, ...] = ("node_agent", "run")) -> None:
        """`module`: with its command, or a script, to run instead of the agent."""
        config = str(self.folder / "node.yaml")
        is_script = module[0].endswith(".py")
        command = [sys.executable, *(() if is_script else ("-m",)), *module]
        command += [config] if is_script else ["--config", config]
        with (self.folder / "log").open("ab") as output:
            self.process = subprocess.Popen(
                [*command, *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=CHECKOUT,
                start_new_session=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )

    def send_signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(timeout=20)


@dataclass(slots=True)
class AgentNetwork:
    folder: Path
    chain: LocalChain
    reader: ChainReader
    deployer: TransactionSender
    server: ContentServer
    store: EmbeddedStore
    agents: list[AgentProcess] = field(default_factory=list)
    coordinator: subprocess.Popen[bytes] | None = None

    def add_agent(self, name: str, index: int, parts: int, **config: Any) -> AgentProcess:
        """Keys, stake, registration, configuration; not started yet."""
        agent = self.make_keys(name, index, parts, **config)
        self._register(agent.folder, agent.operator)
        self.agents.append(agent)
        return agent

    def make_keys(self, name: str, index: int, parts: int, **config: Any) -> AgentProcess:
        folder = self.folder / name
        folder.mkdir()
        (folder / "password").touch(mode=0o600)
        (folder / "password").write_text("test\n")
        owner = create_keystore(folder / "owner.json", "test", light=True)
        operator = create_keystore(folder / "operator.json", "test", light=True)
        for address in (owner, operator):
            fund(self.chain.rpc_url, address, ETHER)
        self.deployer.send(f"give:{owner}", "CommonwealToken", "transfer", owner, STAKE)
        part = {"parts": parts, "index": index, "alpha": 5.0, "seed": 1}
        document = {
            "rpc_url": self.chain.rpc_url,
            "deployment": str(self.folder / "deployment.json"),
            "data_dir": ".",
            "provider": owner,
            "keys": {
                "operator_password": "password",
                "owner": "owner.json",
                "owner_password": "password",
            },
            "data": {"kind": "digits", "part": part},
            "content": {"gateways": [self.server.url]},
        }
        (folder / "node.yaml").write_text(yaml.safe_dump(document | config))
        return AgentProcess(name, folder, owner, operator)

    def pass_time(self, seconds: int) -> None:
        for method, arguments in (("evm_increaseTime", [seconds]), ("evm_mine", [])):
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": arguments}
            httpx.post(self.chain.rpc_url, json=body, trust_env=False).raise_for_status()

    def create_job(
        self, trainers: int, committee: int = 3, job_spec: JobSpec = SPEC, **changes: Any
    ) -> int:
        """A two-round job that recruits until `trainers` have joined."""
        spec = encode_manifest(job_spec)
        self.store.pin(self.store.put_block(spec))
        weights = self.store.put(encode_weights(initial_weights(job_spec.model, 5)))
        model = encode_manifest(ModelManifest(weights=weights))
        self.store.pin(self.store.put_block(model))
        terms = JobParameters(
            spec_digest=compute_digest(spec),
            initial_model=compute_digest(model),
            rounds=2,
            price_per_round=Wei(10**18),
            validator_share_bps=Bps(2000),
            coordinator_share_bps=Bps(0),
            coordinator=Address("0x" + "00" * 20),
            min_trainers=trainers - 1,
            max_trainers=trainers,
            committee_size=committee,
            min_stake=Wei(100 * 10**18),
            commit_window=120,
            reveal_window=120,
            ballot_commit_window=120,
            ballot_reveal_window=120,
            attest_window=120,
            recruit_until=int(time.time()) + 3600,
            max_failed_rounds=1,
            allowlist_root=ZERO_DIGEST,
        )
        terms = replace(terms, **changes)
        escrow = terms.rounds * terms.price_per_round
        board = self.reader.deployment["JobBoard"]
        self.deployer.send(f"approve:{time.time()}", "CommonwealToken", "approve", board, escrow)
        packed = tuple(getattr(terms, name) for name in JobParameters.__dataclass_fields__)
        self.deployer.send(f"job:{time.time()}", "JobBoard", "createJob", packed, escrow)
        return self.reader.fetch_job_count(self.head)

    @property
    def head(self) -> int:
        return self.reader.fetch_head().number

    def events(self, job: int, kind: type[ChainEvent]) -> list[Any]:
        found = self.reader.fetch_events(self.reader.deployment.deployed_block, self.head)
        return [e for e in found if isinstance(e, kind) and getattr(e, "job", job) == job]

    def wait(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        ends = time.monotonic() + seconds
        while not done():
            for agent in self.agents:
                status = agent.process.poll() if agent.process else None
                if status not in (None, -signal.SIGKILL):
                    raise AssertionError(f"{agent.name} ended with {status}:\n{agent.log[-3000:]}")
            if time.monotonic() > ends:
                logs = "\n".join(f"--- {a.name}\n{a.log[-1500:]}" for a in self.agents)
                raise AssertionError(f"{what}: not within {seconds} s\n{logs}")
            time.sleep(0.1)

    def wait_for_end(self, job: int, seconds: float = 150) -> None:
        def is_over() -> bool:
            return self.reader.fetch_job(job, self.head).state.is_over

        self.wait(is_over, seconds, f"job {job}")
        assert self.reader.fetch_job(job, self.head).state is JobState.COMPLETED

    def members(self, job: int) -> list[Address]:
        """Providers by member index."""
        return [member.provider for member in self.reader.fetch_members(job, self.head)]

    def round(self, job: int) -> Round:
        return self.reader.fetch_round(job, self.head)

    def models(self, job: int) -> list[Digest]:
        return [event.model_digest for event in self.events(job, RoundFinalised)]

    def slashes(self, job: int) -> list[Any]:
        kinds = (StakeSlashed, FaultProven, UnrevealedRecorded)
        return [event for kind in kinds for event in self.events(job, kind)]

    def start_coordinator(self) -> str:
        folder = self.folder / "coordinator"
        folder.mkdir(exist_ok=True)
        (folder / "password").touch(mode=0o600)
        (folder / "password").write_text("test\n")
        if not (folder / "key.json").exists():
            address = create_keystore(folder / "key.json", "test", light=True)
            fund(self.chain.rpc_url, address, ETHER)
        (folder / "endpoint").unlink(missing_ok=True)
        options = {
            "--rpc-url": self.chain.rpc_url,
            "--deployment": self.folder / "deployment.json",
            "--data-dir": folder,
            "--keystore": folder / "key.json",
            "--password-file": folder / "password",
            "--port": 0,
        }
        arguments = [str(part) for pair in options.items() for part in pair]
        with (folder / "log").open("ab") as output:
            self.coordinator = subprocess.Popen(
                [sys.executable, "-m", "service", "run", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=CHECKOUT,
                start_new_session=True,
            )
        self.wait((folder / "endpoint").exists, 60, "coordinator")
        return (folder / "endpoint").read_text().strip()

    def stop(self) -> None:
        for agent in self.agents:
            agent.kill()
        if self.coordinator is not None and self.coordinator.poll() is None:
            self.coordinator.kill()
            self.coordinator.wait(timeout=20)

    def _register(self, folder: Path, operator: Address) -> None:
        owner = load_account(folder / "owner.json", "test")
        engine = create_engine(f"sqlite:///{folder / 'owner.db'}")
        create_outbox_tables(engine)
        sender = TransactionSender(self.reader, owner, Outbox(engine))
        registry = self.reader.deployment["ProviderRegistry"]
        sender.send("approve", "CommonwealToken", "approve", registry, STAKE)
        arguments = (operator, int(BOTH), STAKE, "", bytes(32))
        sender.send("register", "ProviderRegistry", "register", *arguments)
        engine.dispose()


@contextmanager
def agent_network(folder: Path) -> Iterator[AgentNetwork]:
    with LocalChain(CHECKOUT, log_file=folder / "chain.log") as chain:
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
        network = AgentNetwork(folder, chain, reader, deployer, server, store)
        try:
            yield network
        finally:
            network.stop()
            server.stop()
            engine.dispose()
