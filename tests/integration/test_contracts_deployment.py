"""Deploying, reading what was deployed, and the node itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from contracts_stage import ETHER, Stage
from eth_account import Account

from commonweal.abi.__main__ import read_artifact
from commonweal.adapters.chain import BlockUnknown, ChainReader
from commonweal.adapters.codec import ContractReverted
from commonweal.adapters.deploying import deploy, local_parameters, public_parameters
from commonweal.adapters.deployment import CONTRACTS, load_artifact
from commonweal.adapters.listening import PortInUse
from commonweal.adapters.local_chain import (
    ChainNotStarted,
    LocalChain,
    NodeNotInstalled,
    find_hardhat,
    fund,
)
from commonweal.adapters.queries import Query
from commonweal.adapters.rpc import ChainRefused
from commonweal.protocol.events import ParametersPublished, StakeAdded
from commonweal.protocol.types import Address, Role, Wei

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PROJECT = Path(__file__).parents[2]


@pytest.mark.timeout(1_200)
def test_the_shipped_abis_are_what_the_sources_compile_to() -> None:
    subprocess.run(
        [*find_hardhat(PROJECT), "compile", "--no-tests"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
    )
    stale = [
        name
        for name in CONTRACTS
        if read_artifact(PROJECT / "artifacts", name) != load_artifact(name)
    ]
    assert stale == [], "run `make abi`"


def test_every_contract_names_its_neighbours(stage: Stage) -> None:
    at = stage.deployment

    def ask(contract: str, name: str) -> Any:
        return stage.reader.call(contract, name, at=stage.now)

    assert ask("ProviderRegistry", "board") == ask("Rounds", "board") == at["JobBoard"]
    assert ask("JobBoard", "rounds") == ask("ModelLedger", "rounds") == at["Rounds"]
    assert ask("Faults", "ledger") == at["ModelLedger"]
    assert ask("JobBoard", "registry") == at["ProviderRegistry"]
    assert ask("JobBoard", "token") == at["CommonwealToken"]
    assert ask("Parameters", "authority") == at["AccessManager"]


def test_parameters_are_the_local_ones_and_only_the_admin_publishes(stage: Stage) -> None:
    rules = local_parameters(Address(stage.deployer.address))
    assert stage.reader.fetch_parameters(1, stage.now) == rules
    with pytest.raises(ContractReverted, match="AccessManagedUnauthorized"):
        stage.send(stage.relay, "Parameters", "publish", _tuple(rules))
    receipt = stage.send(stage.deployer, "Parameters", "publish", _tuple(rules))
    published = stage.reader.fetch_events(receipt.block_number, receipt.block_number)
    assert [type(event) for event in published] == [ParametersPublished]
    assert published[0].parameters == rules


def test_another_admin_behind_a_timelock_and_a_token_that_exists(stage: Stage) -> None:
    admin, deployer = stage.account(), stage.account()
    token = stage.deployment["CommonwealToken"]
    deployment = deploy(
        stage.rpc_url,
        deployer,
        parameters=public_parameters(Address(admin.address)),
        token=token,
        admin=Address(admin.address),
        admin_delay=86_400,
    )
    reader = ChainReader(stage.rpc_url, deployment)
    assert deployment["CommonwealToken"] == token
    roles = [
        reader.call("AccessManager", "hasRole", 0, a.address, at=reader.fetch_head().number)
        for a in (admin, deployer)
    ]
    assert roles == [(True, 86_400), (False, 0)]


def test_a_guardian_keeps_newcomers_out_and_cannot_publish(stage: Stage) -> None:
    guardian, deployer = stage.account(), stage.account()
    deployment = deploy(stage.rpc_url, deployer, guardian=Address(guardian.address))
    other = Stage(stage.rpc_url, deployment, deployer, stage.engine)
    worker = other.worker()
    other.send(guardian, "Parameters", "pauseEntry")
    with pytest.raises(ContractReverted, match="EntryIsPaused"):
        other.worker()
    with pytest.raises(ContractReverted, match="AccessManagedUnauthorized"):
        other.send(deployer, "Parameters", "resumeEntry")
    rules = local_parameters(Address(guardian.address))
    with pytest.raises(ContractReverted, match="AccessManagedUnauthorized"):
        other.send(guardian, "Parameters", "publish", _tuple(rules))
    other.send(worker.owner, "ProviderRegistry", "unbond", 1)
    other.send(guardian, "Parameters", "resumeEntry")
    other.worker()


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(getattr(value, field.name) for field in fields(value))


def test_reads_are_pinned_to_their_block(stage: Stage) -> None:
    worker = stage.worker(stake=7 * ETHER)
    after = stage.now
    shown = stage.reader.fetch_provider(worker.provider, after)
    assert (shown.free, shown.operator) == (7 * ETHER, worker.operator.address)
    assert shown.roles == Role.TRAINER | Role.VALIDATOR
    operator = Address(worker.operator.address)
    assert stage.reader.fetch_provider_of_operator(operator, after) == worker.provider
    early = stage.deployment.deployed_block + 10
    assert stage.reader.fetch_provider_of_operator(operator, early) is None


def test_blocks(stage: Stage) -> None:
    head = stage.reader.fetch_head()
    assert stage.reader.fetch_block(head.number) == head
    assert stage.reader.fetch_block(head.number - 1).hash == head.parent_hash
    with pytest.raises(BlockUnknown):
        stage.reader.fetch_block(10**9)
    with pytest.raises(ChainRefused):
        stage.reader.fetch_job_count(10**9)


def test_events_in_halves_are_the_same_events(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that refuses more than four blocks at once."""
    stage.worker()
    start, end = stage.deployment.deployed_block, stage.now
    whole = stage.reader.fetch_events(start, end)
    assert any(isinstance(event, StakeAdded) for event in whole)
    places = [(event.ref.block_number, event.ref.log_index) for event in whole]
    assert places == sorted(places)
    stamps = {e.ref.block_number: e.ref.timestamp for e in whole}
    assert all(stage.reader.fetch_block(n).timestamp == stamp for n, stamp in stamps.items())
    ask = stage.reader.fetch

    def refuse(query: Query[Any]) -> Any:
        asked = query.params[0]
        if int(asked["toBlock"], 16) - int(asked["fromBlock"], 16) >= 4:
            raise ChainRefused("range too large")
        return ask(query)

    monkeypatch.setattr(stage.reader, "fetch", refuse)
    assert stage.reader.fetch_events(start, end) == whole
    assert stage.reader.fetch_events(end + 1, end) == []


def test_a_port_in_use_is_named(stage: Stage) -> None:
    port = int(stage.rpc_url.rsplit(":", 1)[1])
    with pytest.raises(PortInUse) as raised:
        LocalChain(PROJECT, port=port).start()
    assert (raised.value.code, raised.value.details) == ("port-in-use", {"port": port})
    assert str(port) in raised.value.message


def test_a_project_without_hardhat(tmp_path: Path) -> None:
    with pytest.raises(NodeNotInstalled):
        LocalChain(tmp_path).start()


def test_a_node_that_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(PROJECT / "node_modules")
    with pytest.raises(ChainNotStarted) as raised:
        LocalChain(tmp_path, log_file=tmp_path / "log").start()
    assert raised.value.details["status"] not in (None, 0)


def test_the_node_dies_with_its_parent(tmp_path: Path) -> None:
    """Killed outright, the parent can clean up nothing; nothing may be left all the same."""
    script = (
        "import sys, time; from pathlib import Path\n"
        "from commonweal.adapters.local_chain import LocalChain\n"
        "chain = LocalChain(Path(sys.argv[1])); chain.start()\n"
        "print(chain.pid, flush=True); time.sleep(600)\n"
    )
    command = [sys.executable, "-c", script, str(PROJECT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        node = int(parent.stdout.readline())
        os.kill(node, 0)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while _is_running(node) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_running(node)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_fund(stage: Stage) -> None:
    somebody = Account.create()
    fund(stage.rpc_url, Address(somebody.address), Wei(5))
    assert stage.reader.web3.eth.get_balance(somebody.address) == 5
