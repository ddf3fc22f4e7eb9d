"""The rows of a run as a table, as JSON and as a plot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Row = Mapping[str, Any]

# What is aimed at, by rule: ours as a multiple of flwr's.
TARGETS = {"weighted-mean": 2.0, "median": 30.0, "trimmed-mean": 30.0, "multi-krum": 4.0}
READ_TARGET = 0.4  # of the read bandwidth, weighted mean


def is_within_targets(rows: Sequence[Row]) -> bool:
    """Every case is exact, and all that flwr took part in reach their multiple."""
    return all(row["exact"] for row in rows) and not [row for row in rows if misses(row)]


def misses(row: Row) -> str | None:
    """Which target a row misses, if any."""
    want = TARGETS.get(row["rule"]) if row["peer"] == "flwr" else None
    if want and row["peer_gbps"] and row["ours_gbps"] < want * row["peer_gbps"]:
        return f"{row['ours_gbps'] / row['peer_gbps']:.1f} of {want:g} times flwr"
    if row["rule"] == "weighted-mean" and row["ours_gbps"] < READ_TARGET * row["read_gbps"]:
        return f"{row['ours_gbps'] / row['read_gbps']:.2f} of {READ_TARGET} of reading"
    return None


def print_table(rows: Sequence[Row], memory: Sequence[Row]) -> None:
    table = Table(title="Aggregation, GB/s of updates")
    for column in ("rule", "n", "params", "ours", "of reading", "peer", "peer's", "times", "exact"):
        table.add_column(column, justify="left" if column in ("rule", "peer") else "right")
    for row in rows:
        theirs = row["peer_gbps"]
        table.add_row(
            row["rule"],
            str(row["n"]),
            f"{row['params']:,}",
            f"{row['ours_gbps']:.2f}",
            f"{row['ours_gbps'] / row['read_gbps']:.2f}",
            row["peer"] or "–",
            f"{theirs:.3f}" if theirs else row["skipped"] or "–",
            f"{row['ours_gbps'] / theirs:.1f}" if theirs else "–",
            "yes" if row["exact"] else "NO",
        )
    console = Console(width=120)
    console.print(table)
    for row in memory:
        console.print(
            f"{row['n']} × {row['params']:,} ({row['input_mib']:,} MiB), {row['rule']}: "
            f"at most {row['peak_rss_mib']:,} MiB resident, {row['seconds']} s"
        )


def write_results(fresh: Sequence[Row], folder: Path) -> None:
    """Rows of other cases, from earlier runs, are kept."""
    folder.mkdir(exist_ok=True)
    path = folder / "aggregation.json"
    before = json.loads(path.read_text()) if path.exists() else []
    rows = {_case(row): row for row in [*before, *fresh]}
    lines = [json.dumps(rows[case]) for case in sorted(rows)]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    if compared := [row for row in rows.values() if "exact" in row]:
        _plot(compared, folder / "aggregation.svg")


def _case(row: Row) -> tuple[bool, int, int, str, str]:
    return "exact" not in row, row["n"], row["params"], row["rule"], row.get("peer") or ""


def _plot(rows: Sequence[Row], path: Path) -> None:
    """Throughput by rule, a panel per n, at the greatest model of each n."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    counts = sorted({row["n"] for row in rows})
    figure, axes = pyplot.subplots(1, len(counts), figsize=(4 * len(counts), 5), sharey=True)
    for axis, count in zip(axes if len(counts) > 1 else [axes], counts, strict=True):
        most = max(row["params"] for row in rows if row["n"] == count)
        _plot_panel(axis, [r for r in rows if r["n"] == count and r["params"] == most])
        axis.set_title(f"n = {count}, {most / 1e6:g} M parameters")
    axes = figure.axes
    axes[0].legend(fontsize=8)
    figure.supxlabel("GB/s of updates (logarithmic)")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _plot_panel(axis: Any, rows: Sequence[Row]) -> None:
    rules = list(dict.fromkeys(row["rule"] for row in rows))[::-1]
    series = {"ours": {row["rule"]: row["ours_gbps"] for row in rows}}
    for peer in ("flwr", "byzfl"):
        known = {r["rule"]: r["peer_gbps"] for r in rows if r["peer"] == peer and r["peer_gbps"]}
        series[peer] = known
    for offset, (name, values) in enumerate(series.items()):
        places = [rules.index(rule) + 0.26 - 0.26 * offset for rule in values]
        axis.barh(places, list(values.values()), height=0.24, label=name)
    axis.axvline(rows[0]["read_gbps"], linestyle=":", color="black", label="reading alone")
    axis.set_yticks(range(len(rules)), rules)
    axis.set_xscale("log")
