"""`python -m bench.round --quick` as CI runs it: real processes, no thresholds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def test_the_quick_bench_times_rounds_and_accounts_for_all_of_them() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.round", "--quick", "--json"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    [row] = [json.loads(line) for line in done.stdout.splitlines()]
    assert row["trainers"] == 4
    assert row["ours_s"] > 0
    assert row["flower_deployment_s"] is None
    assert sum(row["phases"].values()) == pytest.approx(row["ours_s"], rel=0.01)
    assert row["phases"]["training"] > 0
    assert row["phases"]["chain"] > 0
