"""`python -m bench.coordinator --quick` as CI runs it: a real coordinator, no thresholds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def test_the_quick_bench_serves_every_agent_and_indexes_every_event() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.coordinator", "--quick", "--json"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads(done.stdout)
    [indexing] = results["indexing"]
    assert indexing["rows"] > indexing["events"] >= 2_000
    assert indexing["events_per_s"] > 0
    agents = results["agents"]
    requests = agents["requests"]
    assert requests.keys() == {"download", "message", "heartbeat", "burst"}
    assert not any(figures["errors"] for figures in requests.values())
    assert requests["message"]["count"] == requests["burst"]["count"] == agents["agents"]
    assert agents["messages_per_s"] > 0
    assert agents["memory_mb"] > 50
