"""python -m bench.attacks.summary [--out …] — the worst, by setting and by attack, and what misses.

Reads attacks.json in the folder of the results, prints two tables and draws attacks.png beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.attacks.targets import Misses, Row, find_misses

RESULTS = Path(__file__).parents[1] / "results"
# Its honest rounds are honest work, paid as such (see attack_pay_share): shown apart.
_PAID_FOR_HONEST_ROUNDS = "selective"
_SETTING = ("dataset", "skew", "alpha", "attackers", "lying_validators", "rule")
_APART = 0.12  # of one attack's six kinds of runs in the plot
_KIND = ("dataset", "alpha", "rule", "attack")


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


@dataclass(frozen=True, slots=True)
class Attackers:
    """The worst of one attack over shares, judges and seeds; `gain` is the mean of what the model
    gained in accuracy by their taking part, against their staying away: below zero is harm.
    """

    kind: tuple[Any, ...]
    runs: int
    drop: float
    gain: float
    pay_share: float
    attack_pay_share: float
    profit: float
    misses: Misses


def summarise_attacks(rows: Iterable[Row]) -> list[Attackers]:
    """One line per attack, data and rule, in their order."""
    ordered = sorted(rows, key=_kind)
    return [_find_worst_of(key, list(group)) for key, group in groupby(ordered, _kind)]


def _kind(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in _KIND)


def _find_worst_of(kind: tuple[Any, ...], rows: list[Row]) -> Attackers:
    gains = [row["accuracy"] - row["accuracy_without_them"] for row in rows]
    return Attackers(
        kind=kind,
        runs=len(rows),
        drop=max(row["clean_accuracy"] - row["accuracy"] for row in rows),
        gain=sum(gains) / len(gains),
        pay_share=min(row["honest_pay_share"] for row in rows),
        attack_pay_share=max(row["attack_pay_share"] for row in rows),
        profit=max(row["best_attacker_profit"] for row in rows),
        misses=Misses(*map(sum, zip(*map(find_misses, rows), strict=True))),
    )


def show_attacks(lines: Iterable[Attackers]) -> Table:
    columns = ("attack", "runs", "greatest\ndrop", "mean gain\nby them")
    paid = ("honest\npay", "attacks'\npay", "profit")
    missed = (f"missed:\n{name.replace('_', ' ')}" for name in Misses._fields)
    table = Table(*columns, *paid, *missed)
    table.columns[0].no_wrap = True
    for line in lines:
        table.add_row(
            " ".join(map(str, line.kind)),
            str(line.runs),
            f"{line.drop:.1%}",
            f"{line.gain:+.1%}",
            f"{line.pay_share:.1%}",
            f"{line.attack_pay_share:.1%}",
            f"{line.profit:+.2f}",
            *(str(count or "") for count in line.misses),
        )
    return table


def draw(rows: list[Row], path: Path) -> None:
    """Accuracy and honest pay share of every run: per attack a point for each, data by data."""
    from matplotlib.figure import Figure

    attacks = list(dict.fromkeys(row["attack"] for row in rows))
    figure = Figure(figsize=(13, 8), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    ordered = sorted(rows, key=_series)
    for at, (series, group) in enumerate(groupby(ordered, _series)):
        points = list(group)
        places = [attacks.index(row["attack"]) + _APART * at for row in points]
        drops = [100 * (row["accuracy"] - row["clean_accuracy"]) for row in points]
        label = f"{series[0]}, {series[1]:.0%} attack"
        above.scatter(places, drops, s=12, alpha=0.6, label=label)
        below.scatter(places, [100 * row["honest_pay_share"] for row in points], s=12, alpha=0.6)
    above.set_ylabel("accuracy against no attack, points")
    above.axhline(0, linewidth=0.5, color="grey")
    figure.legend(loc="outside upper center", ncols=6, fontsize=8)
    below.set_ylabel("honest share of the pay, %")
    below.set_xticks(range(len(attacks)), attacks, rotation=60, ha="right")
    figure.savefig(path, dpi=110)


def _series(row: Row) -> tuple[Any, ...]:
    return row["dataset"], row["attackers"]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench.attacks.summary", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    folder: Path = parser.parse_args(arguments).out
    rows: list[Row] = json.loads((folder / "attacks.json").read_text())
    console = Console(width=200)
    console.print(show(summarise(rows)))
    console.print(show_attacks(summarise_attacks(rows)))
    draw(rows, folder / "attacks.png")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
