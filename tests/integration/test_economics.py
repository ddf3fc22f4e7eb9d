"""The economics bench from recording to plot, as a reader would start it; no thresholds."""

import json
from pathlib import Path

import pytest

from bench.economics.__main__ import main

pytestmark = pytest.mark.integration


def test_a_quick_run_prints_rows_and_draws_plots(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--quick", "--json", "--out", str(tmp_path)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "economics.json").read_text())
    rows = {(row["sweep"], row["strategy"]): row for row in printed["strategies"]}
    assert rows["trainers", "honest"]["return_per_100"] > 0
    assert rows["trainers", "gaussian"]["return_per_100"] < 0
    assert rows["trainers", "invalid"]["ruined"] == 1.0
    assert rows["slashes", "absent"]["jailed"] > 0
    assert (tmp_path / "economics-capture.svg").stat().st_size > 10_000
