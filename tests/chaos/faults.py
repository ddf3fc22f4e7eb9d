"""What is done to a network in the middle of a job; each returns when the fault is over.

What lasts to the end of the job is set right by what it leaves in `network.afterwards`.
"""

from __future__ import annotations

import random
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from commonweal.protocol.types import Phase
from tests.chaos.chain import DEEPEST
from tests.chaos.network import ChaosNetwork, start_agent
from tests.chaos.proxy import TROUBLES
from tests.integration.agents_harness import AgentProcess

_TROUBLE_SECONDS = 3.0
_AWAY_SECONDS = 5.0  # long enough to be missed, much shorter than any window
_SKEW_SECONDS = 60.0  # half a window
Action = Callable[[ChaosNetwork, random.Random], None]


@dataclass(frozen=True)
class Fault:
    name: str
    action: Action


def kill_leader(network: ChaosNetwork, _: random.Random) -> None:
    leader = network.leader()
    leader.kill()
    network.leader()  # the other
    leader.start()


def kill_both_coordinators(network: ChaosNetwork, _: random.Random) -> None:
    for coordinator in network.coordinators:
        coordinator.kill()
    for coordinator in network.coordinators:
        coordinator.start()


def kill_agent(network: ChaosNetwork, chance: random.Random) -> None:
    agent = chance.choice(network.agents.agents)
    agent.kill()
    start_agent(agent)


def kill_validator(network: ChaosNetwork, chance: random.Random) -> None:
    """One of the committee, if there is one yet."""
    agent = _choose_validator(network, chance)
    agent.kill()
    start_agent(agent)


def restart_chain(network: ChaosNetwork, _: random.Random) -> None:
    network.chain.stop(signal.SIGTERM)
    network.chain.start_again()


def kill_chain(network: ChaosNetwork, _: random.Random) -> None:
    """It comes back with what it saved: up to a second of blocks is gone for ever."""
    network.chain.crash()
    network.chain.start_again()


def reorganise(network: ChaosNetwork, chance: random.Random) -> None:
    network.chain.reorganise(chance.randint(1, DEEPEST))


def kill_content_peers(network: ChaosNetwork, _: random.Random) -> None:
    """All that serve content but do not train: the requester and both coordinators."""
    network.agents.server.stop()
    for coordinator in network.coordinators:
        coordinator.kill()
    time.sleep(_AWAY_SECONDS)
    network.serve_requester()
    for coordinator in network.coordinators:
        coordinator.start()


def fill_disk(network: ChaosNetwork, chance: random.Random) -> None:
    """No byte that an agent of the committee writes to any file is taken: EFBIG for ENOSPC.

    A limit on its process, so that no file system has to be made.
    """
    agent = _choose_validator(network, chance)
    assert agent.process is not None
    _, hard = resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, (0, hard))
    time.sleep(_AWAY_SECONDS)
    resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, (hard, hard))


def skew_clock(network: ChaosNetwork, chance: random.Random) -> None:
    """An agent of the committee goes on with a clock that is half a window wrong, to the end."""
    agent = _choose_validator(network, chance)
    seconds = chance.choice((-_SKEW_SECONDS, _SKEW_SECONDS))
    agent.kill()
    start_agent(agent, seconds)

    def set_right() -> None:
        agent.kill()
        start_agent(agent)

    network.afterwards.append(set_right)


def break_endpoint(trouble: str) -> Action:
    """For the coordinators and one of the agents."""

    def act(network: ChaosNetwork, _: random.Random) -> None:
        network.proxy.trouble = trouble
        time.sleep(_TROUBLE_SECONDS)
        network.proxy.trouble = ""

    return act


def _choose_validator(network: ChaosNetwork, chance: random.Random) -> AgentProcess:
    members = network.agents.members(network.job)
    committee = list(network.agents.round(network.job).committee)
    provider = members[chance.choice(committee or range(len(members)))]
    return next(each for each in network.agents.agents if each.provider == provider)


FAULTS = (
    Fault("kill leader", kill_leader),
    Fault("kill both coordinators", kill_both_coordinators),
    Fault("kill agent", kill_agent),
    Fault("kill validator", kill_validator),
    Fault("kill chain", kill_chain),
    Fault("restart chain", restart_chain),
    Fault("reorganisation", reorganise),
    Fault("kill content peers", kill_content_peers),
    Fault("full disk", fill_disk),
    Fault("clock skew", skew_clock),
    *(Fault(f"endpoint: {trouble}", break_endpoint(trouble)) for trouble in TROUBLES),
)
PHASES = (Phase.COMMIT, Phase.REVEAL, Phase.BALLOT_COMMIT, Phase.BALLOT_REVEAL, Phase.ATTEST)
