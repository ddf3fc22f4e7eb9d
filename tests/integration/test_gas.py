"""What everything costs on chain, against the committed snapshot and the limits we promise.

A change that is meant: `make gas` renews the snapshot.
"""

from __future__ import annotations

import pytest

from bench.gas_snapshot import find_changes, find_excesses, load_snapshot, measure_all
from bench.round_driver import Gas

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def gas() -> Gas:
    return measure_all()


def test_every_call_costs_what_the_snapshot_says(gas: Gas) -> None:
    assert list(find_changes(load_snapshot(), gas)) == []


def test_the_limits_hold(gas: Gas) -> None:
    assert list(find_excesses(gas)) == []


def test_a_change_is_seen() -> None:
    kept = {"claim": 50_000, "gone": 1}
    now = {"claim": 50_251, "new": 1}
    assert list(find_changes(kept, now)) == [
        "claim: 50,000 -> 50,251",
        "gone: 1 -> 0",
        "new: 0 -> 1",
    ]
    assert list(find_changes({"claim": 50_000}, {"claim": 50_249})) == []
