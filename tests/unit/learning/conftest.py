from __future__ import annotations

import pytest
from scoring_samples import HONEST, candidate, make_local, train_delta

from commonweal.learning.data import LocalData
from commonweal.learning.scoring import Candidate


@pytest.fixture(scope="module")
def honest() -> list[Candidate]:
    return [candidate(member, train_delta(member)) for member in HONEST]


@pytest.fixture(scope="module")
def local() -> LocalData:
    return make_local(50)
