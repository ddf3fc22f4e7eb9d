"""Real agent processes on a real chain: with a coordinator, without one, and killed half-way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import structlog
from agents_harness import SPEC, AgentNetwork, AgentProcess, agent_network

from commonweal.learning.data import Dataset, load_dataset
from commonweal.protocol.batches import collect_round
from commonweal.protocol.manifests import ModelManifest, decode_manifest, manifest_cid
from commonweal.protocol.specs import DataSpec, QuantisedTopKEncoding
from commonweal.protocol.types import Phase, Round
from commonweal.validation_sets import encode_validation_set
from node_agent.cli import main
from node_agent.config import load_config
from node_agent.doctor import examine
from node_agent.journal import Journal, Slot
from node_agent.owner import JobEarnings, explain_job, fetch_earnings
from node_agent.runtime import Chain, open_chain

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]
QUICK: dict[str, Any] = {
    "timing": {"relay_patience": 2.0, "keeper_patience": 2.0, "keeper_stagger": 0.3}
}


@pytest.fixture
def network(tmp_path: Path) -> Iterator[AgentNetwork]:
    with agent_network(tmp_path) as network:
        yield network
    structlog.reset_defaults()


def test_a_direct_network_needs_no_coordinator(network: AgentNetwork) -> None:
    agents = [network.add_agent(f"node-{i}", i, 3) for i in range(3)]
    job = network.create_job(trainers=3)
    for agent in agents:
        agent.start("--direct")
    network.wait_for_end(job)
    _check_job(network, job)
    _check_models_are_served(network, job, agents[0])
    _check_claim(network, agents[0])


def test_killed_between_commit_and_reveal_it_still_reveals(network: AgentNetwork) -> None:
    slow, other, victim = (network.add_agent(f"node-{i}", i, 3) for i in range(3))
    job = network.create_job(trainers=3)
    slow.start("--direct")
    other.start("--direct")
    network.wait(lambda: len(network.members(job)) == 2, 60, "two members")
    # One trainer stands still, so COMMIT cannot close before the victim is dead.
    slow.send_signal(signal.SIGSTOP)
    victim.start("--direct")
    network.wait(lambda: victim.provider in network.members(job), 60, "the victim joins")
    index = network.members(job).index(victim.provider)
    network.wait(lambda: index in network.round(job).committed, 90, "the victim commits")
    victim.kill(signal.SIGKILL)
    assert _stands_in_commit(network.round(job))
    slow.send_signal(signal.SIGCONT)
    network.wait(lambda: network.round(job).phase is Phase.REVEAL, 60, "REVEAL")
    assert index not in network.round(job).revealed
    victim.start("--direct")
    network.wait_for_end(job)
    _check_job(network, job)
    _check_revealed_what_was_journalled(network, job, victim, index)


def test_what_sparse_updates_leave_out_survives_a_kill(network: AgentNetwork) -> None:
    sparse = QuantisedTopKEncoding(kind="top-k-int8", one_in=8)
    agents = [network.add_agent(f"node-{i}", i, 3) for i in range(3)]
    spec = SPEC.model_copy(update={"encoding": sparse})
    job = network.create_job(trainers=3, job_spec=spec)
    for agent in agents:
        agent.start("--direct")
    network.wait(lambda: len(network.models(job)) == 1, 150, "the first model")
    agents[0].kill(signal.SIGKILL)
    agents[0].start("--direct")
    network.wait_for_end(job)
    _check_job(network, job)
    for agent in agents:
        agent.kill()
        journal = Journal(agent.folder / "journal.db", network.reader.deployment.rounds_domain)
        # The first round's is what the second round's update started with.
        assert journal.residual_rounds(job) == (1, 2)
        journal.close()


def test_trainers_learn_from_a_shared_validation_set(network: AgentNetwork) -> None:
    few = Dataset(np.zeros((7, 64), np.float32), np.arange(7))
    cid = network.store.put(encode_validation_set(few, SPEC.data).content)
    data = DataSpec(features=(64,), classes=10, validation=cid, share_validation=True)
    job = network.create_job(trainers=3, job_spec=SPEC.model_copy(update={"data": data}))
    agents = [network.add_agent(f"node-{i}", i, 3) for i in range(3)]
    for agent in agents:
        agent.start("--direct")
    network.wait_for_end(job)
    _check_job(network, job)
    for agent in agents:
        source = load_config(agent.folder / "node.yaml").data
        own = len(load_dataset(source, data).to_judge_by())
        assert f"samples={own + 7}" in agent.log


def test_a_coordinator_carries_a_job(network: AgentNetwork) -> None:
    url = network.start_coordinator()
    agents = [network.add_agent(f"node-{i}", i, 4, coordinator=[url]) for i in range(4)]
    job = network.create_job(trainers=4)
    for agent in agents:
        agent.start()
    network.wait_for_end(job)
    _check_job(network, job)
    for digest in network.models(job):
        assert _is_served(url, manifest_cid(digest))


def test_a_coordinator_that_dies_half_way_is_not_missed(network: AgentNetwork) -> None:
    url = network.start_coordinator()
    agents = [network.add_agent(f"node-{i}", i, 3, coordinator=[url], **QUICK) for i in range(3)]
    job = network.create_job(trainers=3)
    for agent in agents:
        agent.start()
    network.wait(lambda: network.round(job).phase is Phase.BALLOT_COMMIT, 120, "BALLOT COMMIT")
    assert network.coordinator is not None
    network.coordinator.kill()
    network.wait_for_end(job)
    _check_job(network, job)


def test_the_command_line_from_key_to_money_out(
    network: AgentNetwork, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = network.make_keys("node", 0, 1)
    config = str(agent.folder / "node.yaml")

    def weal_node(*arguments: str) -> dict[str, Any]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([*arguments, "--config", config, "--json"])
        assert left.value.code == 0, capsys.readouterr().err
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    assert weal_node("status")["registered"] is False
    with pytest.raises(SystemExit):
        main(["status", "--config", config])
    assert capsys.readouterr().out.startswith(f"NOT REGISTERED: the owner {agent.provider} needs")
    assert _examine(config)["provider"] == "failed"
    registered = weal_node("register", "--stake", "900")
    healthy = _examine(config)
    assert healthy.pop("content") == "warning"  # no public address
    assert set(healthy.values()) == {"ok"}
    assert (registered["provider"], registered["operator"]) == (agent.provider, agent.operator)
    status = weal_node("status")
    assert (status["registered"], status["free"], status["roles"]) == (True, 900 * 10**18, 3)
    assert weal_node("earnings")["earned_wei"] == 0
    assert weal_node("claim")["jobs"] == []
    weal_node("unbond", "400")
    weal_node("unbond", "100")
    assert weal_node("status")["unbonding"] == 500 * 10**18
    with pytest.raises(SystemExit) as refused:
        main(["withdraw", "--config", config])
    assert refused.value.code == 5
    assert capsys.readouterr().err.startswith("error[contract-reverted]: NotYet(")
    network.pass_time(3_601)
    weal_node("withdraw")
    assert weal_node("status")["owner_tokens_wei"] == 600 * 10**18


def _check_job(network: AgentNetwork, job: int) -> None:
    """Two rounds, two models, everybody paid, nobody slashed."""
    assert len(network.models(job)) == 2
    assert network.slashes(job) == []
    assert all(member.credit > 0 for member in network.reader.fetch_members(job, network.head))


def _check_claim(network: AgentNetwork, agent: AgentProcess) -> None:
    """The earnings reach the owner, and the stake of the job is free again."""
    chain = open_chain(load_config(agent.folder / "node.yaml"))
    (earned,) = fetch_earnings(chain, agent.provider)
    before = network.reader.fetch_balance(agent.provider, network.head)
    network.pass_time(601)  # until nothing of the job can be appealed any more
    command = [sys.executable, "-m", "node_agent", "claim", "--json", "--config"]
    done = subprocess.run(
        [*command, str(agent.folder / "node.yaml")], capture_output=True, timeout=60, check=True
    )
    shown = json.loads(done.stdout)
    assert shown["claimed_wei"] == earned.unclaimed_wei > 0
    assert shown["stake_released_of_jobs"] == [earned.job]
    head = network.head
    assert network.reader.fetch_balance(agent.provider, head) == before + earned.unclaimed_wei
    assert network.reader.fetch_provider(agent.provider, head).locked == 0
    (after,) = fetch_earnings(chain, agent.provider)
    assert (after.unclaimed_wei, after.claimed_wei) == (0, earned.unclaimed_wei)
    _check_explanation(network, chain, after)


def _check_explanation(network: AgentNetwork, chain: Chain, earned: JobEarnings) -> None:
    """Round by round it adds up, and the contract takes each proof."""
    rounds = explain_job(chain, earned.job, [earned])
    assert sum(each.paid_wei for each in rounds) == earned.claimed_wei
    assert {each.reason for each in rounds} == {"paid"}
    for each in rounds:
        assert each.proof is not None
        digest, *siblings = (
            bytes.fromhex(text[2:]) for text in (each.proof.digest, *each.proof.siblings)
        )
        claim = (earned.job, each.round, earned.member, digest, each.score, siblings)
        assert network.reader.call("ModelLedger", "isVerdict", *claim, at=network.head)


def _examine(config: str) -> dict[str, str]:
    """The worst state per check."""
    order = ["ok", "skipped", "warning", "failed"]
    states: dict[str, str] = {}
    for finding in examine(load_config(Path(config))):
        worst = max(states.get(finding.check, "ok"), finding.state, key=order.index)
        states[finding.check] = worst
    return states


def _stands_in_commit(round_: Round) -> bool:
    return round_.phase is Phase.COMMIT and not round_.revealed


def _check_revealed_what_was_journalled(
    network: AgentNetwork, job: int, agent: AgentProcess, index: int
) -> None:
    agent.kill()
    journal = Journal(agent.folder / "journal.db", network.reader.deployment.rounds_domain)
    entry = journal.entry(job, 1, Slot.UPDATE)
    journal.close()
    events = network.reader.fetch_events(1, network.head)
    assert entry is not None
    assert collect_round(events, job, 1).digests[index] == entry.content


def _check_models_are_served(network: AgentNetwork, job: int, agent: AgentProcess) -> None:
    url = (agent.folder / "endpoint").read_text().strip()
    for digest in network.models(job):
        answer = httpx.get(f"{url}/ipfs/{manifest_cid(digest)}?format=raw", trust_env=False)
        manifest = decode_manifest(answer.content)
        assert isinstance(manifest, ModelManifest)
        assert manifest.job == job


def _is_served(url: str, cid: str) -> bool:
    return httpx.get(f"{url}/ipfs/{cid}?format=raw", trust_env=False).status_code == 200
