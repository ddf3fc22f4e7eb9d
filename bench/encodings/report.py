"""Rows and plot: each setting beside the one it is measured against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.encodings.federation import Result, Setting

Row = dict[str, Any]
Measured = Mapping[Setting, Sequence[Result]]  # a result per seed, the seeds in one order


def compare_encodings(measured: Measured) -> list[Row]:
    """The first setting is float32."""
    return [_row(measured, setting, "encodings") for setting in measured]


def compare_phases(measured: Measured) -> list[Row]:
    """The first setting is synchronous SGD."""
    return [_row(measured, setting, "local phases") for setting in measured]


def _row(measured: Measured, setting: Setting, table: str) -> Row:
    first = next(iter(measured))
    base, own = measured[first], measured[setting]
    accuracies, fp32 = _accuracies(own), _accuracies(base)
    size, dense = _mean_bytes(own), _mean_bytes(base)
    fewer = dense / first.samples / (size / setting.samples)
    return {
        "table": table,
        "encoding": setting.name,
        "kind": setting.encoding.kind,
        "bytes": round(size),
        "times_smaller": round(dense / size, 2),
        "accuracy": round(float(accuracies.mean()), 4),
        "accuracy_error": _error(accuracies, 4),
        "fp32_accuracy": round(float(fp32.mean()), 4),
        "points_lost": round(100 * float((fp32 - accuracies).mean()), 2),
        "points_lost_error": _error(100 * (fp32 - accuracies), 2),
        "rounds": setting.rounds,
        "local_steps": setting.steps,
        "samples_per_update": setting.samples,
        "times_fewer_bytes_per_sample": round(fewer, 1),
        "seeds": len(own),
    }


def _accuracies(results: Sequence[Result]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([result.accuracy for result in results])


def _mean_bytes(results: Sequence[Result]) -> float:
    return float(np.mean([result.bytes for result in results]))


def _error(values: np.ndarray[tuple[int], np.dtype[np.float64]], places: int) -> float | None:
    """Standard error of the mean; of one seed nothing can be said."""
    if len(values) < 2:
        return None
    return round(float(values.std(ddof=1) / np.sqrt(len(values))), places)


def plot(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Accuracy against bytes per update, and against bytes per sample seen, as SVG and PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "commonweal"  # the same picture, the same bytes
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 5))
    _scatter(left, rows, "encodings", "times_smaller", "times smaller than float32")
    name = "times_fewer_bytes_per_sample"
    _scatter(right, rows, "local phases", name, "times fewer bytes per sample than synchronous SGD")
    figure.tight_layout()
    written = [folder / "encodings.svg", folder / "encodings.png"]
    figure.savefig(written[0], metadata={"Date": None})
    figure.savefig(written[1], dpi=110)
    pyplot.close(figure)
    return written


def _scatter(axes: Any, rows: Sequence[Row], table: str, name: str, label: str) -> None:
    for row in rows:
        if row["table"] == table:
            point, error = (row[name], 100 * row["accuracy"]), 100 * (row["accuracy_error"] or 0.0)
            axes.errorbar(*point, yerr=error, fmt="o", capsize=3)
            axes.annotate(row["encoding"], point, xytext=(5, 5), textcoords="offset points")
    axes.set_xscale("log")
    axes.set_xlabel(label)
    axes.set_ylabel("accuracy, %")
    axes.grid(alpha=0.3)
