"""Which logs wake a node, and when the start of a phase does not."""

from __future__ import annotations

import pytest
from agent_samples import make_round, make_view

from commonweal.adapters.codec import event_topics
from commonweal.protocol.types import Phase
from node_agent.notices import awaits_phases, is_phase_start


def test_only_the_start_of_a_phase_is_one():
    starts = [name for name, topic in event_topics().items() if is_phase_start(topic)]
    assert starts == ["PhaseStarted"]


@pytest.mark.parametrize(
    ("phase", "committee", "awaits"),
    [
        (Phase.NONE, (), False),
        (Phase.COMMIT, (), True),
        (Phase.REVEAL, (), True),
        (Phase.BALLOT_COMMIT, (0, 2), False),
        (Phase.BALLOT_COMMIT, (1, 2), True),
        (Phase.BALLOT_REVEAL, (0, 2), False),
        (Phase.ATTEST, (0, 2), False),
        (Phase.ATTEST, (1, 2), True),
    ],
)
def test_who_has_no_seat_waits_for_the_next_round(phase, committee, awaits):
    view = make_view(make_round(phase, committee=committee))
    assert awaits_phases(view.jobs) is awaits


def test_who_is_no_member_waits_for_no_phase():
    assert not awaits_phases(make_view(make_round(Phase.COMMIT), joined=False).jobs)
