"""`weal-node run` on a terminal of its own, and off one: real processes, a real chain."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pexpect
import pyte
import pytest
from agents_harness import CHECKOUT, AgentNetwork, AgentProcess, agent_network

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
COLUMNS, LINES = 120, 40


@pytest.fixture
def network(tmp_path: Path) -> Iterator[AgentNetwork]:
    with agent_network(tmp_path) as network:
        yield network


@dataclass
class Terminal:
    """A program and the screen it draws on, as a person would see it; every look is kept."""

    child: pexpect.spawn
    screen: pyte.Screen = field(default_factory=lambda: pyte.Screen(COLUMNS, LINES))
    seen: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stream = pyte.ByteStream(self.screen)

    def read(self) -> None:
        try:
            self._stream.feed(self.child.read_nonblocking(65_536, timeout=0.05))
        except pexpect.TIMEOUT:
            return
        except pexpect.EOF:
            self.child.wait()
        self.seen.append("\n".join(self.screen.display))

    def saw(self, pattern: str) -> bool:
        self.read()
        return any(re.search(pattern, look) for look in self.seen)


def open_terminal(agent: AgentProcess) -> Terminal:
    arguments = ["-m", "node_agent", "run", "--direct", "--config", str(agent.folder / "node.yaml")]
    child = pexpect.spawn(
        sys.executable,
        arguments,
        cwd=str(CHECKOUT),
        env=os.environ | {"OMP_NUM_THREADS": "1", "TERM": "xterm-256color"},
        dimensions=(LINES, COLUMNS),
    )
    return Terminal(child)


def test_an_operator_sees_the_work_and_the_money(network: AgentNetwork) -> None:
    agents = [network.add_agent(f"node-{i}", i, 3) for i in range(3)]
    job = network.create_job(trainers=3)
    terminal = open_terminal(agents[0])
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
        network.wait(lambda: terminal.saw("$^") or not terminal.child.isalive(), 30, "its end")
        assert terminal.child.exitstatus == 0
        assert not terminal.screen.cursor.hidden
    finally:
        terminal.child.close(force=True)
    log = agents[1].log  # not on a terminal: lines of key=value, and nothing drawn
    assert re.search(r'^timestamp=\S+Z level=info event="update trained" job=1', log, re.MULTILINE)
    assert "\x1b" not in log
