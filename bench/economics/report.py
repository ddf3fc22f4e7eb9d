"""Tables for people, plots for documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

_TITLES = {
    "trainers": "Trainers: three of twelve",
    "validators": "Validators: eight of forty",
    "shares": "Colluding groups, by their part of trainers and of validators",
    "strict": "The same with nine seats and minTrainers three quarters",
    "committees": "Colluding groups of a third, by committee size",
    "floors": "Colluding groups of a third, by minTrainers",
    "slashes": "Slash fractions, in parts of the shipped ones",
    "bounties": "Who accuses itself gets the bounty",
    "duties": "Missed duties that jail",
}


def show(rows: Sequence[dict[str, Any]], captures: dict[str, list[dict[str, Any]]]) -> None:
    console = Console()
    for sweep, title in _TITLES.items():
        chosen = [row for row in rows if row["sweep"] == sweep]
        if chosen:
            console.print(_table(title, chosen))
    console.print(_capture_table(captures["captures"]))
    console.print(_break_table(captures["breaks"]))


def _table(title: str, rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title=title)
    for name in ("setting", "strategy", "share", "seats"):
        table.add_column(name)
    for name in ("return / 100 rounds", "95 %", "others", "jailed", "rounds to ruin", "honest pay"):
        table.add_column(name, justify="right")
    for row in rows:
        ruin = row["rounds_to_ruin"]
        table.add_row(
            row["setting"],
            row["strategy"],
            f"{row['share']:.0%}",
            str(row["committee"]),
            f"{row['return_per_100']:+.1f} %",
            f"{row['return_low']:+.1f} … {row['return_high']:+.1f}",
            f"{row['honest_return_per_100']:+.1f} %",
            f"{row['jailed']:.1%}",
            "never" if ruin is None else f"{ruin:,.0f}",
            f"{row['honest_pay_share']:.1%}",
        )
    return table


def _capture_table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table("stake", "seats", title="Chance per round, by dishonest stake (100 identities)")
    names = ("verdicts", "model", "veto", "stands_after_one_jury", "stands_after_two_juries")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        chances = [f"{row[name]:.2g}" for name in names]
        table.add_row(f"{row['stake']:.0%}", str(row["committee"]), *chances)
    return table


def _break_table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table("seats", "guarantee", title="Largest dishonest stake within a chance per round")
    tolerances = sorted({row["tolerance"] for row in rows})
    for tolerance in tolerances:
        table.add_column(f"{tolerance:.1%}", justify="right")
    found = {(r["committee"], r["guarantee"], r["tolerance"]): r["stake"] for r in rows}
    for size, name in dict.fromkeys((r["committee"], r["guarantee"]) for r in rows):
        stakes = [f"{found[size, name, tolerance]:.0%}" for tolerance in tolerances]
        table.add_row(str(size), name, *stakes)
    return table


def plot(
    rows: Sequence[dict[str, Any]], captures: Sequence[dict[str, Any]], folder: Path
) -> list[Path]:
    """Two pictures, each as SVG and PNG: what groups earn, and when committees are captured."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "commonweal"  # the same picture, the same bytes
    return [*_plot_groups(rows, folder), *_plot_captures(captures, folder)]


def _plot_groups(rows: Sequence[dict[str, Any]], folder: Path) -> list[Path]:
    from matplotlib import pyplot

    chosen = [row for row in rows if row["sweep"] == "shares"]
    if not chosen:
        return []
    figure, axes = pyplot.subplots(figsize=(8, 6))
    for strategy in dict.fromkeys(row["strategy"] for row in chosen):
        its = [row for row in chosen if row["strategy"] == strategy]
        shares = [100 * row["share"] for row in its]
        (line,) = axes.plot(shares, [row["return_per_100"] for row in its], label=strategy)
        low, high = [row["return_low"] for row in its], [row["return_high"] for row in its]
        axes.fill_between(shares, low, high, alpha=0.2, color=line.get_color())
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set_xlabel("the group's part of trainers and of validators, %")
    axes.set_ylabel("return on its stake per 100 rounds, %")
    title = "what its trainers send + how its validators vote"
    axes.legend(title=title, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncol=3)
    return _save(figure, folder / "economics-groups")


def _plot_captures(captures: Sequence[dict[str, Any]], folder: Path) -> list[Path]:
    from matplotlib import pyplot

    titles = {
        "verdicts": "decides the verdicts (> 1/2)",
        "model": "makes a wrong model final (> 2/3)",
        "veto": "keeps every model from being final (≥ 1/3)",
        "stands_after_two_juries": "calls good work invalid, and two juries let it",
    }
    figure, grid = pyplot.subplots(2, 2, figsize=(10, 8), sharex=True, sharey=True)
    for axes, (name, title) in zip(grid.flat, titles.items(), strict=True):
        for size in sorted({row["committee"] for row in captures}):
            its = [row for row in captures if row["committee"] == size]
            axes.semilogy(
                [100 * row["stake"] for row in its],
                [max(row[name], 1e-12) for row in its],
                label=f"{size} seats",
            )
        axes.set_title(title)
        axes.set_ylim(1e-6, 1.5)
        axes.grid(alpha=0.3)
    for axes in grid[1]:
        axes.set_xlabel("dishonest part of the validators' stake, %")
    for axes in grid[:, 0]:
        axes.set_ylabel("chance per round")
    grid[0, 0].legend()
    return _save(figure, folder / "economics-capture")


def _save(figure: Any, base: Path) -> list[Path]:
    from matplotlib import pyplot

    figure.tight_layout()
    written = [base.with_suffix(".svg"), base.with_suffix(".png")]
    figure.savefig(written[0], metadata={"Date": None})
    figure.savefig(written[1], dpi=110)
    pyplot.close(figure)
    return written
