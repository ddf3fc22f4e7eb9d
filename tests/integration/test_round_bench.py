"""`python -m bench.round --quick` as CI runs it: real processes, no thresholds."""

from __future__ import annotations

import json

import pytest
from benches import run_bench

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def test_the_quick_bench_times_rounds_and_accounts_for_all_of_them() -> None:
    printed = run_bench("round", "--quick", "--json", timeout=500)
    [row] = [json.loads(line) for line in printed.splitlines()]
    assert row["trainers"] == 4
    assert row["ours_s"] > 0
    assert row["flower_deployment_s"] is None
    assert sum(row["phases"].values()) == pytest.approx(row["ours_s"], rel=0.01)
    assert row["phases"]["training"] > 0
    assert row["phases"]["chain"] > 0
