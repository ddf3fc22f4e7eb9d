"""What is done to a network in the middle of a job; each returns when the fault is over."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from commonweal.protocol.types import Phase
from tests.chaos.network import ChaosNetwork
from tests.chaos.proxy import TROUBLES

_TROUBLE_SECONDS = 3.0
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
    agent.start()


def kill_validator(network: ChaosNetwork, chance: random.Random) -> None:
    """One of the committee, if there is one yet."""
    members, committee = network.agents.members(network.job), []
    committee = list(network.agents.round(network.job).committee)
    provider = members[chance.choice(committee or range(len(members)))]
    agent = next(each for each in network.agents.agents if each.provider == provider)
    agent.kill()
    agent.start()


def restart_chain(network: ChaosNetwork, _: random.Random) -> None:
    network.chain.stop(signal.SIGTERM)
    network.chain.start()


def reorganise(network: ChaosNetwork, chance: random.Random) -> None:
    network.chain.reorganise(chance.randint(1, 12))


def break_endpoint(trouble: str) -> Action:
    def act(network: ChaosNetwork, _: random.Random) -> None:
        network.proxy.trouble = trouble
        time.sleep(_TROUBLE_SECONDS)
        network.proxy.trouble = ""

    return act


FAULTS = (
    Fault("kill leader", kill_leader),
    Fault("kill both coordinators", kill_both_coordinators),
    Fault("kill agent", kill_agent),
    Fault("kill validator", kill_validator),
    Fault("restart chain", restart_chain),
    Fault("reorganisation", reorganise),
    *(Fault(f"endpoint: {trouble}", break_endpoint(trouble)) for trouble in TROUBLES),
)
PHASES = (Phase.COMMIT, Phase.REVEAL, Phase.BALLOT_COMMIT, Phase.BALLOT_REVEAL, Phase.ATTEST)
