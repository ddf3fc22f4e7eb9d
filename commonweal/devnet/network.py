"""The local network in one folder: keys, chain, contracts, coordinator and agents."""

from __future__ import annotations

import secrets
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
from eth_account.signers.local import LocalAccount
from sqlalchemy import create_engine

from commonweal.adapters.chain import ChainReader
from commonweal.adapters.deploying import deploy, local_parameters
from commonweal.adapters.keystore import create_keystore, load_account
from commonweal.adapters.local_chain import HOST, LocalChain, fund
from commonweal.adapters.transactions import Outbox, TransactionSender, create_outbox_tables
from commonweal.devnet.leftovers import write_note
from commonweal.devnet.processes import Child, stop_all
from commonweal.errors import Conflict, NotFound
from commonweal.protocol.types import ZERO_DIGEST, Address, Role, Wei

TOKEN = 10**18  # wei
# Of the ten thousand ether that the chain gives: enough for 170 nodes, each with two keys.
PURSE, NODE_PURSE = Wei(1_000 * 10**18), Wei(20 * 10**18)
STAKE = Wei(1_000 * TOKEN)
REQUESTER_TOKENS = Wei(100_000 * TOKEN)
START_SECONDS = 60.0
DATA_ALPHA = 0.5


class FolderInUse(Conflict):
    code = "folder-in-use"


class CheckoutIncomplete(NotFound):
    code = "checkout-incomplete"


@dataclass(frozen=True, slots=True)
class AgentPlan:
    """`behaviour` is honest, sign-flip or noise."""

    name: str
    roles: Role
    behaviour: str = "honest"


@dataclass(frozen=True, slots=True)
class Key:
    """An encrypted key file of the local network and the file with its password."""

    keystore: Path
    password_file: Path
    account: LocalAccount

    @property
    def address(self) -> Address:
        return Address(self.account.address)


@dataclass(slots=True)
class Agent:
    plan: AgentPlan
    owner: Key
    operator: Key
    child: Child
    url: str = ""


@dataclass(slots=True)
class Network:
    """Context manager: leaving it stops every process."""

    data_dir: Path
    plans: Sequence[AgentPlan]
    seed: int = 0
    outlives: bool = False  # processes can be left running, see `detach`
    agents: list[Agent] = field(default_factory=list)
    _chain: LocalChain | None = None
    _reader: ChainReader | None = None
    _coordinator: Child | None = None
    keys: dict[str, Key] = field(default_factory=dict)
    _senders: dict[Address, TransactionSender] = field(default_factory=dict)
    _detached: bool = False
    coordinator_url: str = ""

    def __enter__(self) -> Network:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def reader(self) -> ChainReader:
        assert self._reader is not None, "the chain has not been started"
        return self._reader

    @property
    def rpc_url(self) -> str:
        return self.reader.rpc_url

    @property
    def heads_url(self) -> str:
        """Hardhat's node speaks both ways on one port."""
        return "ws" + self.rpc_url.removeprefix("http")

    @property
    def deployment_file(self) -> Path:
        return self.data_dir / "deployment.json"

    def key(self, name: str) -> Key:
        """The key of that name in the network's `keys` folder, made on first use."""
        if name not in self.keys:
            self.keys[name] = _make_key(self.data_dir / "keys", name)
        return self.keys[name]

    def start_chain(self) -> None:
        """Hardhat node, keys with coin, contracts, tokens."""
        _claim_folder(self.data_dir)
        log_file = self.data_dir / "chain.log"
        self._chain = LocalChain(find_checkout(), log_file=log_file, outlives=self.outlives)
        self._chain.start()
        deployer, requester = self.key("deployer"), self.key("requester")
        for key in (deployer, requester, self.key("coordinator")):
            fund(self._chain.rpc_url, key.address, PURSE)
        parameters = local_parameters(self.key("treasury").address)
        deployment = deploy(self._chain.rpc_url, deployer.account, parameters=parameters)
        deployment.save(self.deployment_file)
        self._reader = ChainReader(self._chain.rpc_url, deployment)
        self._give_tokens(requester.address, REQUESTER_TOKENS)

    def start_programs(self) -> None:
        """Coordinator and agents at once; they import and open their stores side by side."""
        self.coordinator_url = f"http://{HOST}:{_find_free_port()}"
        self._coordinator = self._make_coordinator()
        self._coordinator.start()
        self.agents = [self._make_agent(index, plan) for index, plan in enumerate(self.plans)]
        for agent in self.agents:
            self._register(agent)
            agent.child.start()

    def wait_until_ready(self) -> None:
        assert self._coordinator is not None
        self._coordinator.wait_for_endpoint(START_SECONDS)
        for agent in self.agents:
            agent.url = agent.child.wait_for_endpoint(START_SECONDS)

    def require_alive(self) -> None:
        """Raises ProcessDied for the first program that has ended by itself."""
        for child in self._children():
            child.require_alive()

    def stop_coordinator(self) -> None:
        if self._coordinator is not None:
            stop_all([self._coordinator])
            self._coordinator = None

    def restart_coordinator(self) -> None:
        self._coordinator = self._make_coordinator()
        self._coordinator.start()
        self._coordinator.wait_for_endpoint(START_SECONDS)

    def stop(self) -> None:
        if self._detached:
            return
        stop_all(self._children())
        if self._chain is not None:
            self._chain.stop()

    def detach(self) -> None:
        """Leave everything running, and a note for `weal stop`."""
        self.restart_coordinator()
        addresses = {"rpc": self.rpc_url, "coordinator": self.coordinator_url}
        addresses |= {agent.plan.name: agent.url for agent in self.agents}
        pids = {child.name: child.pid for child in self._children() if child.pid}
        assert self._chain is not None
        assert self._chain.pid is not None
        write_note(self.data_dir, addresses, {"chain": self._chain.pid, **pids})
        self._detached = True

    def send(self, key: Key, intent: str, contract: str, function: str, *args: object) -> None:
        """A transaction of one of the network's keys, mined when this returns."""
        if key.address not in self._senders:
            engine = create_engine(f"sqlite:///{self.data_dir / 'keys' / (key.address + '.db')}")
            create_outbox_tables(engine)
            self._senders[key.address] = TransactionSender(self.reader, key.account, Outbox(engine))
        self._senders[key.address].send(intent, contract, function, *args)

    def _children(self) -> list[Child]:
        agents = [agent.child for agent in self.agents]
        return agents if self._coordinator is None else [self._coordinator, *agents]

    def _give_tokens(self, to: Address, amount: Wei) -> None:
        self.send(self.key("deployer"), f"tokens:{to}", "CommonwealToken", "transfer", to, amount)

    def _make_coordinator(self) -> Child:
        folder = self.data_dir / "coordinator"
        folder.mkdir(exist_ok=True)
        key = self.key("coordinator")
        options = {
            "--rpc-url": self.rpc_url,
            "--heads-url": self.heads_url,
            "--deployment": self.deployment_file,
            "--data-dir": folder,
            "--keystore": key.keystore,
            "--password-file": key.password_file,
            "--port": self.coordinator_url.rpartition(":")[2],
        }
        arguments = [str(part) for pair in options.items() for part in pair]
        command = [sys.executable, "-m", "service", "run", *arguments]
        return Child("coordinator", command, folder, outlives=self.outlives)

    def _make_agent(self, index: int, plan: AgentPlan) -> Agent:
        folder = self.data_dir / plan.name
        folder.mkdir(exist_ok=True)
        owner, operator = self.key(f"{plan.name}-owner"), self.key(f"{plan.name}-operator")
        config = folder / "node.yaml"
        config.write_text(yaml.safe_dump(self._configure(index, plan, owner, operator)))
        program = ["node_agent", "run"]
        if plan.behaviour != "honest":
            program = ["node_agent.cheats", "--behaviour", plan.behaviour]
        command = [sys.executable, "-m", *program, "--config", str(config)]
        child = Child(plan.name, command, folder, outlives=self.outlives)
        return Agent(plan, owner, operator, child)

    def _configure(self, index: int, plan: AgentPlan, owner: Key, operator: Key) -> dict[str, Any]:
        part = {
            "parts": max(len(self.plans), 1),
            "index": index,
            "alpha": DATA_ALPHA,
            "seed": self.seed,
        }
        return {
            "rpc_url": self.rpc_url,
            "heads_url": self.heads_url,
            "deployment": str(self.deployment_file),
            "data_dir": str(self.data_dir / plan.name),
            "coordinator": [self.coordinator_url],
            "provider": owner.address,
            "keys": {
                "operator": str(operator.keystore),
                "operator_password": str(operator.password_file),
            },
            "roles": [role.name.lower() for role in Role if role in plan.roles and role.name],
            "data": {"kind": "digits", "part": part},
        }

    def _register(self, agent: Agent) -> None:
        owner, operator = agent.owner, agent.operator
        for address in (owner.address, operator.address):
            fund(self.rpc_url, address, NODE_PURSE)
        self._give_tokens(owner.address, STAKE)
        registry = self.reader.deployment["ProviderRegistry"]
        self.send(owner, "approve", "CommonwealToken", "approve", registry, STAKE)
        roles, capabilities = int(agent.plan.roles), bytes(ZERO_DIGEST)
        arguments = (operator.address, roles, STAKE, "", capabilities)
        self.send(owner, "register", "ProviderRegistry", "register", *arguments)


def find_checkout() -> Path:
    """The folder with node_modules. Raises CheckoutIncomplete."""
    for folder in (Path(__file__).resolve().parents[2], Path.cwd()):
        if (folder / "node_modules" / "hardhat").is_dir() and (folder / "contracts").is_dir():
            return folder
    message = (
        "the local network needs a checkout of the sources with its Node packages: "
        "run `make setup` there"
    )
    raise CheckoutIncomplete(message, searched=str(Path.cwd()))


def _claim_folder(folder: Path) -> None:
    """A network's keys and journals belong to one chain, and this chain ends with the network."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FolderInUse(f"{folder} is not empty; name an empty or a new folder", path=str(folder))


def _find_free_port() -> int:
    """The agents' configuration names the coordinator before it listens."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _make_key(folder: Path, name: str) -> Key:
    """Light key derivation: these keys guard play money on a chain that ends with the command."""
    folder.mkdir(parents=True, exist_ok=True)
    keystore, password_file = folder / f"{name}.json", folder / f"{name}.password"
    password_file.touch(mode=0o600)
    password_file.write_text(secrets.token_urlsafe(24) + "\n")
    password = password_file.read_text().strip()
    create_keystore(keystore, password, light=True)
    return Key(keystore, password_file, load_account(keystore, password))
