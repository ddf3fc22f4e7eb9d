"""A model on appeal: `weal appeal`, and real agents as the jury that computes it again."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from agents_harness import ETHER, AgentNetwork, AgentProcess, agent_network

from commonweal.adapters.keystore import create_keystore
from commonweal.adapters.local_chain import fund
from commonweal.cli.app import run
from commonweal.protocol.events import StakeSlashed
from commonweal.protocol.types import JobState, Phase

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]
BOND = 100 * 10**18  # the job's least stake
APPEAL_WINDOW = 600
LIAR = ("tests/integration/lying_validator.py",)
Weal = Callable[..., dict[str, Any]]


@pytest.fixture
def network(tmp_path: Path) -> Iterator[AgentNetwork]:
    with agent_network(tmp_path) as network:
        yield network
    structlog.reset_defaults()


@pytest.fixture
def weal(network: AgentNetwork, capsys: pytest.CaptureFixture[str]) -> Weal:
    """`weal appeal … --json` of an account that can pay two bonds."""
    folder = network.folder
    (folder / "password").touch(mode=0o600)
    (folder / "password").write_text("test\n")
    appellant = create_keystore(folder / "appellant.json", "test", light=True)
    fund(network.chain.rpc_url, appellant, ETHER)
    network.deployer.send("give", "CommonwealToken", "transfer", appellant, 2 * BOND)
    options = ["--rpc", network.chain.rpc_url, "--deployment", str(folder / "deployment.json")]
    key = ["--keystore", str(folder / "appellant.json")]
    key += ["--password-file", str(folder / "password")]

    def call(*arguments: str, signed: bool = True) -> dict[str, Any]:
        capsys.readouterr()
        status = run(["appeal", *arguments, *(key if signed else ()), *options, "--json"])
        found = capsys.readouterr()
        assert status == 0, found.err
        answer: dict[str, Any] = json.loads(found.out)
        return answer

    return call


def wait_for_stage(network: AgentNetwork, weal: Weal, stage: str) -> dict[str, Any]:
    def is_there() -> bool:
        return bool(weal("show", "1", signed=False)["stage"] == stage)

    network.wait(is_there, 90, f"the appeal is {stage}")
    return weal("show", "1", signed=False)


def wait_for_close(network: AgentNetwork, weal: Weal) -> dict[str, Any]:
    """The jury has decided; agents close the case when its window is over."""
    decided = wait_for_stage(network, weal, "decided")
    network.pass_time(APPEAL_WINDOW + 1)
    wait_for_stage(network, weal, "closed")
    return decided


def test_a_right_model_is_upheld_and_the_bond_is_lost(network: AgentNetwork, weal: Weal) -> None:
    agents = [network.add_agent(f"node-{i}", i, 4) for i in range(4)]
    job = network.create_job(trainers=4, committee=1)
    for agent in agents:
        agent.start("--direct")
    network.wait_for_end(job)
    opened = weal("model", str(job), "2")
    assert (opened["round"], opened["bond_wei"], opened["level"]) == (2, BOND, 1)
    decided = wait_for_close(network, weal)
    assert (decided["votes_revealed"], decided["votes_to_overturn"]) == (3, 0)
    treasury = network.reader.fetch_parameters(1, network.head).treasury
    assert network.reader.call("Appeals", "owedTo", treasury, at=network.head) == BOND
    assert network.slashes(job) == []


def test_a_false_model_is_overturned_and_its_attester_slashed(
    network: AgentNetwork, weal: Weal
) -> None:
    trainers = [network.add_agent(f"trainer-{i}", i, 3, roles=["trainer"]) for i in range(2)]
    liar = network.add_agent("liar", 2, 3, roles=["validator"])
    jurors = [network.add_agent(f"juror-{i}", i, 3, roles=["validator"]) for i in range(3)]
    job = network.create_job(trainers=2, committee=1, commit_window=3600)
    for agent in trainers:
        agent.start("--direct")
    liar.start(module=LIAR)
    network.wait(lambda: len(network.models(job)) == 1, 120, "the false model is final")
    _hold(trainers)
    network.wait(lambda: network.round(job).phase is Phase.COMMIT, 30, "the next round")
    for agent in jurors:
        agent.start("--direct")
    network.wait(lambda: len(network.members(job)) == 6, 60, "the jurors join")
    weal("model", str(job), "1")
    decided = wait_for_close(network, weal)
    assert (decided["votes_revealed"], decided["overturned"]) == (3, True)
    slashed = network.events(job, StakeSlashed)
    assert [(e.provider, e.amount) for e in slashed] == [(liar.provider, BOND // 20)]
    assert network.reader.fetch_job(job, network.head).state is JobState.CANCELLED
    assert weal("take")["taken_wei"] == BOND


def _hold(agents: list[AgentProcess]) -> None:
    """Round 2 waits in COMMIT: its trainers stand still."""
    for agent in agents:
        agent.send_signal(signal.SIGSTOP)
