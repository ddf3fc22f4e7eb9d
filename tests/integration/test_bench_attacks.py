"""The attack lab as a command, in its quick form: that it runs, resumes and says what it must."""

import json
from pathlib import Path

import pytest
from benches import start_bench

pytestmark = pytest.mark.integration

FIELDS = {
    "dataset",
    "alpha",
    "attackers",
    "attack",
    "lying_validators",
    "seed",
    "accuracy",
    "clean_accuracy",
    "backdoor_success",
    "honest_pay_share",
    "attack_pay_share",
    "lowest_over_median_honest_pay",
    "best_attacker_profit",
}


def run(folder: Path) -> tuple[list[dict[str, object]], str]:
    arguments = ("--quick", "--json", "--out", folder, "--attack", "sign-flip", "backdoor")
    done = start_bench("attacks", *arguments, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout), done.stderr


def test_the_quick_lab_gives_a_row_per_attack_and_goes_on_where_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "results"
    rows, progress = run(folder)
    assert [row["attack"] for row in rows] == ["sign-flip", "backdoor"]
    assert all(row.keys() >= FIELDS for row in rows)
    assert len(progress.splitlines()) == 4  # two attacks and two runs without any
    assert json.loads((folder / "attacks.json").read_text()) == rows
    again, progress = run(folder)
    assert again == rows
    assert not progress
