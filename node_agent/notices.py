"""Which of the chain's logs a node is woken by: those after which it may have something to do.

What is not among them it sees all the same, half a second later at most.
"""

from __future__ import annotations

from collections.abc import Sequence

from commonweal.adapters.codec import event_topics
from commonweal.adapters.deployment import Deployment
from commonweal.adapters.heads import LogChoice
from commonweal.protocol.types import Phase
from node_agent.view import JobView

_CONTRACTS = ("JobBoard", "Rounds")
_PHASES = "PhaseStarted"
# Messages of others that leave a phase open, and what comes in one block with the start of another,
# ask nothing of anybody.
_EVENTS = (
    _PHASES,
    "RoundOpened",
    "RoundFailed",
    "JobCreated",
    "JobStateChanged",
    "MemberJoined",
    "MemberLeft",
)
_TRAINING = (Phase.COMMIT, Phase.REVEAL)


def choose_logs(deployment: Deployment) -> LogChoice:
    topics = event_topics()
    return LogChoice([deployment[name] for name in _CONTRACTS], [topics[name] for name in _EVENTS])


def is_phase_start(topic: bytes) -> bool:
    return topic == event_topics()[_PHASES]


def awaits_phases(jobs: Sequence[JobView]) -> bool:
    """Whether the start of a phase may ask something of this node before a round ends."""
    return any(
        job.round.phase in _TRAINING or job.seat is not None
        for job in jobs
        if job.member is not None and job.round.phase is not Phase.NONE
    )
