"""A validator whose scoring memory cannot be read starts afresh, and goes on judging."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from agent_samples import DOMAIN, ME, NOW, SIGNER, make_round, make_view, sign_ballot
from structlog.testing import capture_logs

from commonweal.learning.data import Dataset, LocalData
from commonweal.learning.scoring import Candidate, ScoringMemory
from commonweal.learning.weights import initial_weights
from commonweal.protocol.batches import RoundRecord
from commonweal.protocol.specs import DataSpec, JobSpec, LogisticModel
from commonweal.protocol.types import Digest, Phase
from node_agent.decisions import ScoreAndCommitBallot
from node_agent.duties import Duties
from node_agent.journal import Journal, Slot

SPEC = JobSpec(
    name="small",
    model=LogisticModel(inputs=3, classes=2),
    data=DataSpec(features=(3,), classes=2),
)
SAMPLES = Dataset(np.eye(3, dtype=np.float32), np.array([0, 1, 0]))
MEMBER = 2


def make_duties(journal: Journal) -> Duties:
    """A round in which one update was revealed that nobody has."""
    unused: Any = None
    digests = {MEMBER: Digest(b"\x05" * 32)}
    given: dict[str, Any] = {
        "chain_log": SimpleNamespace(
            record=lambda job, round_, at: RoundRecord(job, round_, digests=digests),
            rejections=lambda *_: {},
        ),
        "models": SimpleNamespace(
            fetch_spec=lambda _: SPEC,
            require_initial=lambda _: None,
            fetch_weights=lambda *_: initial_weights(SPEC.model, 0),
        ),
        "data": SimpleNamespace(fetch=lambda _: LocalData(SAMPLES, SAMPLES)),
        "updates": SimpleNamespace(
            read=lambda *_, until: {MEMBER: Candidate(MEMBER, ME, None, "unavailable")}
        ),
        "sender": SimpleNamespace(submit=lambda _: None),
    }
    return Duties(
        journal=journal, store=unused, signer=SIGNER, publisher=unused, trainer=unused, **given
    )


@pytest.mark.parametrize("cut", [0, 10, -10], ids=["nothing", "a scrap", "most"])
def test_a_damaged_memory_costs_a_warning_and_no_ballot(tmp_path: Path, cut: int) -> None:
    journal = Journal(tmp_path / "journal.db", DOMAIN)
    journal.record(sign_ballot(1), ScoringMemory().to_bytes()[:cut])
    view = make_view(make_round(Phase.BALLOT_COMMIT, round=2, revealed=frozenset({MEMBER})))
    with capture_logs() as logs:
        make_duties(journal).perform(ScoreAndCommitBallot(1, 2, 1, 0, NOW + 60), view, NOW)
    assert "invalid-scoring-memory" in [entry.get("code") for entry in logs]
    assert journal.entry(1, 2, Slot.BALLOT) is not None
    assert ScoringMemory.from_bytes(journal.memory_before(1, 3) or b"").rounds == 1
    journal.close()
