"""What the bench prints and keeps: rows as JSON, ratios for people, a plot."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.round.phases import PHASES, WAITING

RESULTS = Path(__file__).parents[1] / "results"


@dataclass(frozen=True, slots=True)
class Row:
    """Seconds per round, medians of one turn; None for what was not asked for in it.

    `load` is the machine's, per core, when the turn began: above 1 others worked there too.
    `block_ms`: how often the local chain makes a block without being asked; a draw waits for four.
    """

    run: int
    params: int
    trainers: int
    committee: int
    encoding: str
    load: float
    block_ms: int
    ours_s: float | None
    phases: dict[str, float]
    flower_deployment_s: float | None
    flower_simulation_s: float | None
    skipped: str = ""


def compute_ratios(rows: Sequence[Row]) -> dict[str, float]:
    """Median over the turns of ours over theirs, each within one turn."""
    ratios = {}
    for name in ("flower_deployment_s", "flower_simulation_s"):
        pairs = [(row.ours_s, getattr(row, name)) for row in rows]
        found = [ours / theirs for ours, theirs in pairs if ours and theirs]
        if found:
            ratios[f"ours_over_{name.removesuffix('_s')}"] = statistics.median(found)
    return ratios


def describe(row: Row) -> str:
    def show(seconds: float | None) -> str:
        return "–" if seconds is None else f"{seconds:.2f} s"

    split = ", ".join(f"{name} {row.phases[name]:.2f}" for name in row.phases)
    return (
        f"{row.params:>10,} parameters, {row.trainers:>2} trainers, load {row.load:.1f}, "
        f"a block each {row.block_ms} ms: "
        f"ours {show(row.ours_s)} ({row.skipped or split}), Flower deployment "
        f"{show(row.flower_deployment_s)}, simulation {show(row.flower_simulation_s)}"
    )


def write_results(rows: Sequence[Row], folder: Path = RESULTS) -> None:
    folder.mkdir(exist_ok=True)
    document = {"rows": [asdict(row) for row in rows], "ratios": compute_ratios(rows)}
    (folder / "round.json").write_text(json.dumps(document, indent=1) + "\n")
    _plot([row for row in rows if row.ours_s is not None], folder / "round.png")


def _plot(rows: Sequence[Row], path: Path) -> None:
    """Ours by phase, one bar per row; needs matplotlib, and without it there is no plot."""
    try:
        from matplotlib import use
    except ImportError:
        return
    use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(1.5 + 1.2 * max(4, len(rows)), 4))
    names = [f"{row.trainers} trainers\n{row.params / 1e6:g} M" for row in rows]
    bottom = [0.0] * len(rows)
    for phase in (*PHASES, WAITING):
        heights = [row.phases[phase] for row in rows]
        axes.bar(range(len(rows)), heights, bottom=bottom, label=phase)
        bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    axes.set_xticks(range(len(rows)), names)
    axes.set_ylabel("seconds per round")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
