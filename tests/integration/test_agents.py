"""Real agent processes on a real chain: with a coordinator, without one, and killed half-way."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from agents_harness import AgentNetwork, AgentProcess, agent_network

from commonweal.protocol.batches import collect_round
from commonweal.protocol.manifests import ModelManifest, decode_manifest, manifest_cid
from commonweal.protocol.types import Phase, Round
from node_agent.journal import Journal, Slot

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]
QUICK: dict[str, Any] = {
    "timing": {"relay_patience": 2.0, "keeper_patience": 2.0, "keeper_stagger": 0.3}
}


@pytest.fixture
def network(tmp_path: Path) -> Iterator[AgentNetwork]:
    with agent_network(tmp_path) as network:
        yield network


def test_a_direct_network_needs_no_coordinator(network: AgentNetwork) -> None:
    agents = [network.add_agent(f"node-{i}", i, 3) for i in range(3)]
    job = network.create_job(trainers=3)
    for agent in agents:
        agent.start("--direct")
    network.wait_for_end(job)
    _check_job(network, job)
    _check_models_are_served(network, job, agents[0])


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


def _check_job(network: AgentNetwork, job: int) -> None:
    """Two rounds, two models, everybody paid, nobody slashed."""
    assert len(network.models(job)) == 2
    assert network.slashes(job) == []
    assert all(member.credit > 0 for member in network.reader.fetch_members(job, network.head))


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
