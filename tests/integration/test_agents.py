"""Real agent processes on a real chain: with a coordinator, without one, and killed half-way."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from agents_harness import AgentNetwork, AgentProcess, agent_network

from commonweal.protocol.events import UpdatesRevealed
from commonweal.protocol.manifests import ModelManifest, decode_manifest, manifest_cid
from commonweal.protocol.types import Phase

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


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
    assert len(network.models(job)) == 2
    assert network.slashes(job) == []
    assert all(member.credit > 0 for member in network.reader.fetch_members(job, network.head))
    _check_models_are_served(network, job, agents[0])


def _check_models_are_served(network: AgentNetwork, job: int, agent: AgentProcess) -> None:
    import httpx

    url = (agent.folder / "endpoint").read_text().strip()
    for digest in network.models(job):
        answer = httpx.get(f"{url}/ipfs/{manifest_cid(digest)}?format=raw", trust_env=False)
        manifest = decode_manifest(answer.content)
        assert isinstance(manifest, ModelManifest)
        assert manifest.job == job
