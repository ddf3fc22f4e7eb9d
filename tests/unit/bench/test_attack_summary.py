from pathlib import Path
from typing import Any

from bench.attacks.summary import draw, summarise


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
        "accuracy_without_them": 0.85,
        "backdoor_success": 0.0,
        "honest_pay_share": 1.0,
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
