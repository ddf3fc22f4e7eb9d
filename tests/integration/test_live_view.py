"""`weal-node run` on a terminal of its own, and off one: real processes, a real chain."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from agents_harness import CHECKOUT, SPEC, AgentNetwork, agent_network
from terminals import open_terminal

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


# The screen is drawn four times a second: a moment's work might end in between.
LONG_ENOUGH_TO_BE_SEEN = SPEC.training.model_copy(update={"epochs": 500})


@pytest.fixture
def network(tmp_path: Path) -> Iterator[AgentNetwork]:
    with agent_network(tmp_path) as network:
        yield network


def test_an_operator_sees_the_work_and_the_money(network: AgentNetwork) -> None:
    agents = [network.add_agent(f"node-{i}", i, 3) for i in range(3)]
    spec = SPEC.model_copy(update={"training": LONG_ENOUGH_TO_BE_SEEN})
    job = network.create_job(trainers=3, job_spec=spec)
    command = [sys.executable, "-m", "node_agent", "run", "--direct", "--config"]
    terminal = open_terminal(*command, str(agents[0].folder / "node.yaml"), cwd=str(CHECKOUT))
    try:
        for agent in agents[1:]:
            agent.start("--direct")
        for pattern in (
            "looking at the chain",
            f"{agents[0].provider} +block [0-9]+",
            r"job +round +phase +left +this node",
            r"1 of 2 +(commit|reveal|ballot|attest)",
            r"training .* [0-9]+ % +loss [0-9]\.[0-9]{4}",
            r"1: verified, score [1-9]",
            r"2 of 2 +completed",
            r"earned 0\.[0-9]+ since the start, 0\.[0-9]+ to claim",
        ):
            network.wait(lambda wanted=pattern: terminal.saw(wanted), 120, pattern)
        assert network.models(job)
        terminal.child.kill(signal.SIGINT)
        assert terminal.read_to_end() == 0
        assert not terminal.screen.cursor.hidden
    finally:
        terminal.child.close(force=True)
    log = agents[1].log  # not on a terminal: lines of key=value, and nothing drawn
    assert re.search(r'^timestamp=\S+Z level=info event="update trained" job=1', log, re.MULTILINE)
    assert "\x1b" not in log
