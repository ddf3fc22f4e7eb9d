"""The bench of encodings runs from its command line, and its rows say what they promise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benches import run_bench, start_bench

pytestmark = pytest.mark.integration
SECONDS = 280


def test_quick_run_prints_a_row_per_setting(tmp_path: Path) -> None:
    arguments = ("--quick", "--json", "--output", tmp_path)
    rows = json.loads(run_bench("encodings", *arguments, timeout=SECONDS))
    assert {"encoding", "bytes", "times_smaller", "accuracy", "fp32_accuracy"} <= rows[0].keys()
    by_name = {(row["table"], row["encoding"]): row for row in rows}
    first = by_name["encodings", "fp32"]
    assert (first["times_smaller"], first["points_lost"]) == (1.0, 0.0)
    small = by_name["encodings", "top-k-int8 1/32"]
    assert small["times_smaller"] > 40
    assert small["bytes"] < first["bytes"] / 40
    assert all(0.1 < row["accuracy"] <= 1.0 for row in rows)
    assert json.loads((tmp_path / "encodings.json").read_text()) == rows
    assert (tmp_path / "encodings.png").stat().st_size > 10_000


def test_missing_data_are_named(tmp_path: Path) -> None:
    arguments = ("--data", tmp_path, "--output", tmp_path, "--json")
    done = start_bench("encodings", *arguments, timeout=SECONDS)
    assert done.returncode != 0
    assert "dataset-fashion-mnist" in done.stderr
    assert "Traceback" not in done.stderr
