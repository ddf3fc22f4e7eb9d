"""A look at a node's own data before anything is joined: size, shape, labels, range."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from commonweal.learning.data import DataSource, load_dataset, read_dataset, stratified_holdout
from commonweal.protocol.specs import DataSpec


@dataclass(frozen=True, slots=True)
class DataPreview:
    """`labels` counts rows by label; `holdout` rows are kept back to judge others by."""

    rows: int
    holdout: int
    features: tuple[int, ...]
    labels: dict[int, int]
    least: float
    greatest: float
    problems: tuple[str, ...]


def preview_data(source: DataSource, spec: DataSpec | None = None) -> DataPreview:
    """`spec`: a job's, whose shape and classes the rows must fit. Raises InvalidData."""
    data = read_dataset(source)
    held = stratified_holdout(data.y, source.holdout, source.holdout_seed)
    if spec is not None:
        load_dataset(source, spec)
    values, counts = np.unique(data.y, return_counts=True)
    labels = dict(zip(values.tolist(), counts.tolist(), strict=True))
    return DataPreview(
        rows=len(data),
        holdout=int(held.sum()),
        features=tuple(data.x.shape[1:]),
        labels=labels,
        least=float(data.x.min()),
        greatest=float(data.x.max()),
        problems=tuple(_find_problems(labels, float(np.abs(data.x).max()))),
    )


def _find_problems(labels: dict[int, int], largest: float) -> list[str]:
    """What can be trained on, but badly."""
    problems = []
    if len(labels) == 1:
        problems.append("every row has the same label")
    rare = [label for label, count in labels.items() if count < 5]
    if rare:
        problems.append(f"fewer than 5 rows with label {', '.join(map(str, rare[:8]))}")
    if min(labels) < 0:
        problems.append("labels start below 0; jobs count them from 0")
    if largest > 100:
        problems.append(f"features up to {largest:g}: scale them to about 1 for training")
    return problems
