"""A node's own data: where they come from, and their split into training and hold-out parts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from commonweal.extras import require_extra
from commonweal.learning.data_files import (
    CsvSource,
    Dataset,
    InvalidData,
    LocalSource,
    NpzSource,
    ParquetSource,
    read_file,
)
from commonweal.learning.image_files import (
    IdxSource,
    ImageFolderSource,
    read_idx,
    read_image_folder,
)
from commonweal.learning.partitions import (
    partition_dirichlet,
    partition_quantity,
    shift_features,
)
from commonweal.protocol.specs import DataSpec

__all__ = [
    "CsvSource",
    "DataSource",
    "Dataset",
    "DigitsPart",
    "DigitsSource",
    "IdxSource",
    "ImageFolderSource",
    "InvalidData",
    "LocalData",
    "NpzSource",
    "ParquetSource",
    "conform",
    "deal",
    "digits_test_part",
    "load_dataset",
    "partition_dirichlet",
    "partition_quantity",
    "read_dataset",
    "shift_features",
    "stratified_holdout",
]


@dataclass(frozen=True, slots=True)
class LocalData:
    """What a node trains on, and what it judges others by besides. Neither is ever empty.

    `holdout`: a part of its own data that it keeps back, or the validation set that the job names.
    """

    train: Dataset
    holdout: Dataset

    def to_judge_by(self) -> Dataset:
        return join(self.train, self.holdout)

    def to_train_on(self, spec: DataSpec) -> Dataset:
        """With the validation set where the job shares it, so that no trainer lacks a class that
        is in it (data sharing, Zhao et al. 2018, "Federated learning with non-IID data").
        """
        return join(self.train, self.holdout) if spec.share_validation else self.train


class DigitsPart(BaseModel):
    """Part `index` of `parts`, unequal in labels, sizes or features; one part is the whole set.

    `alpha` is Dirichlet's for labels and sizes; features shift by 1 / (1 + alpha) at most.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    parts: Annotated[int, Field(ge=1, le=512)] = 1
    index: Annotated[int, Field(ge=0)] = 0
    skew: Literal["label", "quantity", "feature"] = "label"
    alpha: Annotated[float, Field(gt=0)] = 0.5
    seed: Annotated[int, Field(ge=0)] = 0


class DigitsSource(LocalSource):
    """Scikit-learn's digits, less the test part `digits_test_part(part.seed)`."""

    kind: Literal["digits"] = "digits"
    part: DigitsPart = DigitsPart()


DataSource = Annotated[
    DigitsSource | NpzSource | CsvSource | ParquetSource | IdxSource | ImageFolderSource,
    Field(discriminator="kind"),
]


def join(first: Dataset, second: Dataset) -> Dataset:
    return Dataset(np.concatenate([first.x, second.x]), np.concatenate([first.y, second.y]))


def load_dataset(source: DataSource, spec: DataSpec) -> LocalData:
    """Read, check against the job's spec, reshape to its features, split. Raises InvalidData."""
    data = conform(read_dataset(source), spec, source)
    held = stratified_holdout(data.y, source.holdout, source.holdout_seed)
    return LocalData(_take(data, ~held), _take(data, held))


def digits_test_part(seed: int) -> Dataset:
    """A stratified fifth, x (n, 64) in 0…1, that no DigitsSource of this seed holds."""
    digits = _load_digits()
    return _take(digits, stratified_holdout(digits.y, 0.2, seed))


def deal(
    data: Dataset,
    parts: int,
    skew: Literal["label", "quantity", "feature"],
    alpha: float,
    seed: int,
) -> list[Dataset]:
    """Every row to one of `parts`; unequal in one respect, the more so the smaller alpha."""
    if skew == "label":
        rows = partition_dirichlet(data.y, parts, alpha, seed)
    else:
        sizes_alpha = alpha if skew == "quantity" else math.inf
        rows = partition_quantity(len(data), parts, sizes_alpha, seed)
    dealt = [_take(data, chosen) for chosen in rows]
    if skew != "feature":
        return dealt
    strength = 1 / (1 + alpha)
    return [
        Dataset(shift_features(each.x, strength, [seed, part]), each.y)
        for part, each in enumerate(dealt)
    ]


def stratified_holdout(labels: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.bool]:
    """Which rows to keep back: of every label its share, rounded; never none and never all."""
    if len(labels) < 2:
        raise InvalidData(f"{len(labels)} rows, at least 2 are needed", rows=len(labels))
    generator = np.random.Generator(np.random.PCG64(seed))
    order = generator.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    # Along the rows sorted by label, every 1/fraction-th: each label gives its share within one.
    marks = np.floor((np.arange(len(labels)) + 0.5) * fraction + 0.5)
    held = np.zeros(len(labels), np.bool)
    held[order[np.diff(marks, prepend=0.0) > 0]] = True
    if held.all() or not held.any():
        held[order[0]] = not held[order[0]]
    return held


def read_dataset(source: DataSource) -> Dataset:
    """All rows as they are, before any job asks for a shape. Raises InvalidData."""
    if isinstance(source, DigitsSource):
        return _load_digits_part(source.part)
    if isinstance(source, IdxSource):
        return read_idx(source)
    if isinstance(source, ImageFolderSource):
        return read_image_folder(source)
    return read_file(source)


def _take(data: Dataset, rows: NDArray[np.bool] | NDArray[np.int64]) -> Dataset:
    return Dataset(np.ascontiguousarray(data.x[rows]), data.y[rows])


def _load_digits() -> Dataset:
    """Read from scikit-learn's package data; importing scikit-learn would take seconds per node."""
    path = require_extra("sklearn") / "datasets" / "data" / "digits.csv.gz"
    table = np.loadtxt(path, delimiter=",")  # 64 pixels from 0 to 16, then the label
    return Dataset((table[:, :-1] / 16.0).astype(np.float32), table[:, -1].astype(np.int64))


def _load_digits_part(part: DigitsPart) -> Dataset:
    if part.index >= part.parts:
        raise InvalidData(f"no part {part.index}", index=part.index, parts=part.parts)
    digits = _load_digits()
    pool = _take(digits, ~stratified_holdout(digits.y, 0.2, part.seed))
    return deal(pool, part.parts, part.skew, part.alpha, part.seed)[part.index]


def conform(data: Dataset, spec: DataSpec, source: DataSource) -> Dataset:
    """The rows in the job's shape, or InvalidData that says what does not fit."""
    where = {"file": str(getattr(source, "path", source.kind))}
    have, want = math.prod(data.x.shape[1:]), math.prod(spec.features)
    if have != want:
        message = f"{where['file']}: {have} features per row, the job wants {want}"
        raise InvalidData(message, have=have, want=want, **where)
    bad = np.flatnonzero((data.y < 0) | (data.y >= spec.classes))
    if len(bad):
        row, label = int(bad[0]) + 1, int(data.y[bad[0]])
        message = f"{where['file']}: row {row}: label {label} is not in 0…{spec.classes - 1}"
        raise InvalidData(message, row=row, label=label, classes=spec.classes, **where)
    return Dataset(data.x.reshape(len(data), *spec.features), data.y)
