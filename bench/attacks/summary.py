"""python -m bench.attacks.summary — the worst of the attacks, by how many attack and how many lie.

Reads bench/results/attacks.json, prints a table and draws bench/results/attacks.png.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parents[1] / "results"
# Its honest rounds are honest work, paid as such: shown apart.
_PAID_FOR_HONEST_ROUNDS = "selective"
_SETTING = ("dataset", "skew", "alpha", "attackers", "lying_validators", "rule")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Worst:
    """Over the attacks and seeds of one setting. Accuracies and shares from 0 to 1."""

    setting: tuple[Any, ...]
    runs: int
    clean: float
    without_them: float
    accuracy: float
    attack: str
    drop: float  # the greatest fall below the clean run of the same seed
    backdoor: float
    pay_share: float  # honest trainers', without `selective`
    pay_share_selective: float | None
    lowest_pay: float
    profit: float
    earner: str


def summarise(rows: Iterable[Row]) -> list[Worst]:
    """One line per setting, in the order of the settings."""
    ordered = sorted(rows, key=_setting)
    return [_find_worst(key, list(group)) for key, group in groupby(ordered, _setting)]


def _setting(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in _SETTING)


def _find_worst(setting: tuple[Any, ...], rows: list[Row]) -> Worst:
    hardest = min(rows, key=lambda row: row["accuracy"] - row["clean_accuracy"])
    richest = max(rows, key=lambda row: row["best_attacker_profit"])
    patient = [row for row in rows if row["attack"] == _PAID_FOR_HONEST_ROUNDS]
    others = [row for row in rows if row["attack"] != _PAID_FOR_HONEST_ROUNDS] or rows
    return Worst(
        setting=setting,
        runs=len(rows),
        clean=hardest["clean_accuracy"],
        without_them=hardest["accuracy_without_them"],
        accuracy=hardest["accuracy"],
        attack=hardest["attack"],
        drop=hardest["clean_accuracy"] - hardest["accuracy"],
        backdoor=max(row["backdoor_success"] for row in rows),
        pay_share=min(row["honest_pay_share"] for row in others),
        pay_share_selective=min((r["honest_pay_share"] for r in patient), default=None),
        lowest_pay=min(row["lowest_over_median_honest_pay"] for row in rows),
        profit=richest["best_attacker_profit"],
        earner=richest["attack"],
    )


def show(worst: Iterable[Worst]) -> Table:
    columns = ("setting", "runs", "clean", "without them", "worst", "by", "backdoor")
    table = Table(*columns, "honest pay", "selective", "lowest pay", "profit", "of")
    for line in worst:
        patient = line.pay_share_selective
        table.add_row(
            " ".join(map(str, line.setting)),
            str(line.runs),
            f"{line.clean:.1%}",
            f"{line.without_them:.1%}",
            f"{line.accuracy:.1%}",
            line.attack,
            f"{line.backdoor:.1%}",
            f"{line.pay_share:.1%}",
            "" if patient is None else f"{patient:.1%}",
            f"{line.lowest_pay:.2f}",
            f"{line.profit:+.2f}",
            line.earner,
        )
    return table


def draw(rows: list[Row], path: Path) -> None:
    """Accuracy and honest pay share of every run, a column of points per attack."""
    from matplotlib.figure import Figure

    attacks = list(dict.fromkeys(row["attack"] for row in rows))
    figure = Figure(figsize=(11, 7), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    for setting, group in groupby(sorted(rows, key=_setting), _setting):
        points = list(group)
        places = [attacks.index(row["attack"]) for row in points]
        label = " ".join(map(str, setting[:5]))
        drops = [100 * (row["accuracy"] - row["clean_accuracy"]) for row in points]
        above.scatter(places, drops, s=18, label=label)
        below.scatter(places, [100 * row["honest_pay_share"] for row in points], s=18)
    above.set_ylabel("accuracy against no attack, points")
    above.axhline(0, linewidth=0.5, color="grey")
    above.legend(fontsize=7)
    below.set_ylabel("honest share of the pay, %")
    below.set_xticks(range(len(attacks)), attacks, rotation=60, ha="right")
    figure.savefig(path, dpi=110)


def main() -> int:
    rows: list[Row] = json.loads((RESULTS / "attacks.json").read_text())
    Console(width=200).print(show(summarise(rows)))
    draw(rows, RESULTS / "attacks.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
