"""The aggregation bench runs through against the peers, and everything in it is exact."""

import json

import pytest
from benches import run_bench

from bench.aggregation.ours import RULES

pytestmark = pytest.mark.integration
NEEDED = {"rule", "n", "params", "ours_gbps", "peer", "peer_gbps", "read_gbps", "exact"}


@pytest.mark.timeout(1800)  # the peers may have to be installed first
def test_quick_run_gives_exact_rows_that_the_peers_agree_with():
    rows = json.loads(run_bench("aggregation", "--quick", "--json", timeout=1800))
    cases = [row for row in rows if "exact" in row]
    assert {row["rule"] for row in cases} == set(RULES)
    assert all(row.keys() >= NEEDED and row["exact"] for row in cases)
    assert {row["peer"] for row in cases if row["peer_gbps"]} == {"flwr", "byzfl"}
    assert all(row["agrees"] for row in cases if row["peer_gbps"])
    assert all(0 < row["peak_rss_mib"] < row["limit_mib"] for row in rows if "limit_mib" in row)
