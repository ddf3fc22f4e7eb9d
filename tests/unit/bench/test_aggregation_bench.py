"""What the bench says of memory and targets; it meets the peers in an integration test."""

import json

import pytest

from bench.aggregation.inputs import Inputs, Timing, is_short, make_inputs, map_updates
from bench.aggregation.memory import MemoryRunFailed, measure_memory
from bench.aggregation.report import is_within_targets, misses, write_results
from bench.aggregation.rivals import expect, normalise, why_not

ROW = {
    "rule": "median", "n": 10, "params": 100, "ours_gbps": 9.0, "peer": "flwr", "peer_gbps": 0.2,
    "read_gbps": 20.0, "exact": True, "agrees": True, "threads": 2, "skipped": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Inputs:
    return make_inputs(tmp_path_factory.mktemp("updates"), 24, 8_000_000)


@pytest.mark.parametrize("rule", ["weighted-mean", "trimmed-mean", "multi-krum"])
def test_memory_does_not_grow_with_the_number_of_updates(inputs, rule):
    row = measure_memory(inputs.files[0].parent, rule, limit_mib=300)
    assert row["input_mib"] == 732
    assert row["peak_rss_mib"] < 500, row  # two models, and some pieces of 2 MiB of each update


def test_a_run_that_needs_more_than_it_may_have_fails(inputs):
    with pytest.raises(MemoryRunFailed):
        measure_memory(inputs.files[0].parent, "mean", limit_mib=10)


@pytest.mark.parametrize(
    ("turns", "seconds", "short"),
    [(3, 0.004, True), (19, 0.004, True), (20, 0.004, False), (3, 0.03, True), (3, 0.04, False)],
)
def test_what_takes_milliseconds_is_timed_for_a_tenth_of_a_second_or_in_twenty_turns(
    turns, seconds, short
):
    assert is_short([Timing(seconds, cpu=9.0)] * turns) is short


def test_the_updates_differ_and_are_of_the_size_that_is_said(inputs):
    first, second = map_updates(inputs)[:2]
    assert sum(tensor.size for tensor in first.delta.values()) == 8_000_000
    assert (first.delta["a"] != second.delta["a"]).mean() > 0.99
    assert inputs.bytes == sum(path.stat().st_size for path in inputs.files)


def test_a_target_missed_is_named():
    assert misses(ROW) is None
    assert misses({**ROW, "ours_gbps": 3.0}) == "15.0 of 30 times flwr"
    mean = {**ROW, "rule": "weighted-mean", "peer_gbps": 1.0, "ours_gbps": 7.0}
    assert misses(mean) == "0.35 of 0.4 of reading"
    assert misses({**ROW, "peer": "byzfl", "ours_gbps": 0.1}) is None
    assert not is_within_targets([{**ROW, "exact": False}])


def test_peers_are_left_out_of_what_they_cannot_do(inputs):
    assert why_not("flwr", "median", inputs, 12, None, 60.0) is None
    slow = why_not("flwr", "median", inputs, 12, 0.001, 60.0)
    assert slow == "would take about 768 s"
    huge = Inputs(inputs.files * 100, 10**8)
    assert "GB of memory" in (why_not("byzfl", "median", huge, 12, None, 60.0) or "")
    assert expect("krum", normalise("krum", 0.5, 10), 100) == pytest.approx(0.05)


def test_rows_of_other_cases_are_kept(tmp_path):
    write_results([ROW], tmp_path)
    write_results([{**ROW, "n": 20}, {**ROW, "ours_gbps": 8.0}], tmp_path)
    rows = json.loads((tmp_path / "aggregation.json").read_text())
    assert [(row["n"], row["ours_gbps"]) for row in rows] == [(10, 8.0), (20, 9.0)]
    assert (tmp_path / "aggregation.svg").stat().st_size > 1000
