import json
from pathlib import Path
from typing import Any

import pytest

from bench.attacks.summary import draw, main, summarise, summarise_attacks
from bench.attacks.targets import find_misses


def make_row(attack: str, accuracy: float, **others: Any) -> dict[str, Any]:
    row = {
        "dataset": "digits",
        "skew": "label",
        "alpha": 0.5,
        "attackers": 0.4,
        "lying_validators": 0,
        "rule": "agreement",
        "attack": attack,
        "accuracy": accuracy,
        "clean_accuracy": 0.9,
        "clean_backdoor_success": 0.01,
        "accuracy_without_them": 0.85,
        "backdoor_success": 0.0,
        "honest_pay_share": 1.0,
        "attack_pay_share": 0.0,
        "lowest_over_median_honest_pay": 0.5,
        "best_attacker_profit": -0.25,
    }
    return {**row, **others}


ROWS = [
    make_row("scaled", 0.88),
    make_row("alie", 0.8, best_attacker_profit=0.1, clean_accuracy=0.95),
    make_row("selective", 0.86, honest_pay_share=0.9, lowest_over_median_honest_pay=0.4),
    make_row("alie", 0.5, attackers=0.6, backdoor_success=0.2),
]


def test_the_worst_of_each_setting_is_kept() -> None:
    first, second = summarise(ROWS)
    assert (first.runs, first.attack, first.accuracy, first.clean) == (3, "alie", 0.8, 0.95)
    assert (first.profit, first.earner, first.lowest_pay) == (0.1, "alie", 0.4)
    assert (second.runs, second.backdoor, second.pay_share_selective) == (1, 0.2, None)


def test_pay_for_honest_rounds_of_the_selective_is_shown_apart() -> None:
    first = summarise(ROWS)[0]
    assert (first.pay_share, first.pay_share_selective) == (1.0, 0.9)


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    draw(ROWS, tmp_path / "attacks.png")
    assert (tmp_path / "attacks.png").read_bytes().startswith(b"\x89PNG")


def test_attacks_are_summed_up_over_all_settings() -> None:
    alie, scaled, _ = summarise_attacks(ROWS)
    assert alie.kind == ("digits", 0.5, "agreement", "alie")
    assert (alie.runs, alie.profit) == (2, 0.1)
    assert (alie.drop, alie.gain) == (pytest.approx(0.4), pytest.approx(-0.2))
    assert alie.misses == (2, 0, 0, 0, 1)
    assert scaled.misses == (0, 0, 0, 0, 0)
    assert scaled.gain == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("figures", "missed"),
    [
        ({}, []),
        ({"accuracy": 0.879}, ["accuracy"]),
        ({"accuracy": 0.88}, []),
        ({"accuracy": 0.871, "lying_validators": 1}, []),
        ({"accuracy": 0.861, "alpha": 0.1}, []),
        ({"accuracy": 0.859, "alpha": 0.1}, ["accuracy"]),
        ({"accuracy": 0.851, "attackers": 0.6}, []),
        ({"backdoor_success": 0.051, "attack": "backdoor"}, ["backdoor"]),
        ({"backdoor_success": 0.05, "attack": "backdoor"}, []),
        ({"honest_pay_share": 0.9797}, ["honest_pay"]),
        ({"lowest_over_median_honest_pay": 0.29}, ["lowest_pay"]),
        ({"best_attacker_profit": 0.0}, ["profit"]),
    ],
)
def test_each_target_that_is_missed_is_named(figures: dict[str, Any], missed: list[str]) -> None:
    row = {**make_row("scaled", 0.9), **figures}
    assert [name for name, is_missed in find_misses(row)._asdict().items() if is_missed] == missed


def test_the_summary_reads_and_draws_in_the_folder_it_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "attacks.json").write_text(json.dumps(ROWS))
    assert main(["--out", str(tmp_path)]) == 0
    assert "digits 0.5 agreement alie" in capsys.readouterr().out
    assert (tmp_path / "attacks.png").exists()
