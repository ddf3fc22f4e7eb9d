"""What a backdoor costs whoever sends it; how it is found is test_triggers.py's business."""

from __future__ import annotations

import numpy as np
import pytest
from scoring_samples import HONEST, PARENT, SPEC

from commonweal.learning import scoring
from commonweal.learning.data import LocalData
from commonweal.learning.scoring import Candidate, ScoringMemory, score_updates

TRUSTED = ScoringMemory(key=7, standing=dict.fromkeys(HONEST, 0.9))
SUSPECT = 2


def score(
    honest: list[Candidate], local: LocalData, memory: ScoringMemory, found: set[int], monkeypatch
):
    """`found`: members whose models are said to share a trigger."""

    def find_triggered(spec, parent, own, models, data):
        marks = [at in found for at, _ in enumerate(models)]
        return np.array(marks, np.bool)

    monkeypatch.setattr(scoring, "find_triggered", find_triggered)
    return score_updates(SPEC, PARENT, honest, local, memory, seed=1)


def test_however_trusted_nobody_is_paid_for_a_backdoor(honest, local, monkeypatch) -> None:
    clean, _ = score(honest, local, TRUSTED, set(), monkeypatch)
    scores, after = score(honest, local, TRUSTED, {SUSPECT}, monkeypatch)
    assert after.standing[SUSPECT] > 0.1  # its standing alone would have it paid
    assert scores[SUSPECT] == 0 < clean[SUSPECT]
    assert all(scores[member] > 0 for member in HONEST if member != SUSPECT)


def test_a_backdoor_costs_half_a_unit_of_standing(honest, local, monkeypatch) -> None:
    _, clean = score(honest, local, TRUSTED, set(), monkeypatch)
    _, after = score(honest, local, TRUSTED, {SUSPECT}, monkeypatch)
    lost = {member: clean.standing[member] - after.standing[member] for member in HONEST}
    assert lost == pytest.approx({member: 0.5 * (member == SUSPECT) for member in HONEST})
