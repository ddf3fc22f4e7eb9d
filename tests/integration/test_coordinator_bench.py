"""`python -m bench.coordinator --quick` as CI runs it: a real coordinator, no thresholds."""

from __future__ import annotations

import json

import pytest
from benches import run_bench

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def test_the_quick_bench_serves_every_agent_and_indexes_every_event() -> None:
    results = json.loads(run_bench("coordinator", "--quick", "--json", timeout=250))
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
