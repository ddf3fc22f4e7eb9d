"""What the lab trains: handwritten digits and Fashion-MNIST, dealt to twenty trainers."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from commonweal.errors import NotFound
from commonweal.learning.data import (
    Dataset,
    DigitsPart,
    DigitsSource,
    LocalData,
    deal,
    digits_test_part,
    load_dataset,
    stratified_holdout,
)
from commonweal.protocol.specs import (
    AggregationSpec,
    DataSpec,
    JobSpec,
    MlpModel,
    ScoringSpec,
    TrainingSpec,
)

Skew = Literal["label", "quantity", "feature"]

CLASSES = 10
VALIDATION = 100  # samples that the job names for all judges, and attackers know
FASHION_FOLDERS = (Path("/usr/share/datasets/fashion-mnist"), Path("data/fashion-mnist"))
_FASHION_TRAIN, _FASHION_TEST = 6_000, 2_000  # samples used: two cores, hundreds of runs
_IDX_IMAGES, _IDX_LABELS = 2051, 2049


class DatasetMissing(NotFound):
    code = "dataset-missing"


@dataclass(frozen=True, slots=True)
class Task:
    """One training job, its trainers' data and the test set that nobody trains on.

    Every part's hold-out is the job's validation set, as in a node: judges add it to their own.
    """

    spec: JobSpec
    parts: tuple[LocalData, ...]
    test: Dataset
    rounds: int


@dataclass(frozen=True, slots=True)
class Deal:
    """How a dataset is dealt to the trainers; `folder` is where Fashion-MNIST lies."""

    dataset: str
    alpha: float
    seed: int
    trainers: int
    skew: Skew = "label"
    folder: Path | None = None


def make_task(deal_: Deal) -> Task:
    """`dataset`: digits or fashion. Raises DatasetMissing."""
    if deal_.dataset == "digits":
        whole = DigitsSource(part=DigitsPart(seed=deal_.seed), holdout=0.01)
        spec = _spec("digits", (64,), epochs=5, batch_size=16, seed=deal_.seed)
        local = load_dataset(whole, spec.data)
        parts = _deal(_join(local.train, local.holdout), deal_)
        return Task(spec, parts, digits_test_part(deal_.seed), rounds=25)
    where = deal_.folder or find_fashion()
    spec = _spec("fashion", (784,), epochs=2, batch_size=32, seed=deal_.seed)
    pool = _sample(read_idx(where, "train"), _FASHION_TRAIN, deal_.seed)
    test = _sample(read_idx(where, "t10k"), _FASHION_TEST, deal_.seed)
    return Task(spec, _deal(pool, deal_), test, rounds=15)


def _deal(pool: Dataset, deal_: Deal) -> tuple[LocalData, ...]:
    held = stratified_holdout(pool.y, VALIDATION / len(pool), deal_.seed)
    validation = Dataset(pool.x[held], pool.y[held])
    rest = Dataset(pool.x[~held], pool.y[~held])
    dealt = deal(rest, deal_.trainers, deal_.skew, deal_.alpha, deal_.seed)
    return tuple(LocalData(part, validation) for part in dealt)


def _join(first: Dataset, second: Dataset) -> Dataset:
    return Dataset(np.concatenate([first.x, second.x]), np.concatenate([first.y, second.y]))


def _spec(name: str, features: tuple[int, ...], epochs: int, batch_size: int, seed: int) -> JobSpec:
    return JobSpec(
        name=name,
        model=MlpModel(inputs=features[0], hidden=(64,), classes=CLASSES),
        training=TrainingSpec(
            loss="balanced-cross-entropy",
            learning_rate=0.3,
            epochs=epochs,
            batch_size=batch_size,
            clip_norm=2.0,
            seed=seed,
        ),
        aggregation=AggregationSpec(server_learning_rate=2.0),
        scoring=ScoringSpec(reference_epochs=epochs),
        data=DataSpec(features=features, classes=CLASSES),
    )


def find_fashion() -> Path:
    for folder in FASHION_FOLDERS:
        if (folder / "train-images-idx3-ubyte.gz").exists():
            return folder
    raise DatasetMissing(
        "no Fashion-MNIST: install Debian's dataset-fashion-mnist or say where it is with --data",
        looked_in=[str(folder) for folder in FASHION_FOLDERS],
    )


def read_idx(folder: Path, part: str) -> Dataset:
    """`part`: train or t10k; x (n, 784) in 0…1, float32."""
    with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
        magic, count, height, width = np.frombuffer(file.read(16), ">i4").tolist()
        _require(magic == _IDX_IMAGES, folder, part)
        pixels = np.frombuffer(file.read(count * height * width), np.uint8)
    with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
        magic, labelled = np.frombuffer(file.read(8), ">i4").tolist()
        _require(magic == _IDX_LABELS and labelled == count, folder, part)
        labels = np.frombuffer(file.read(count), np.uint8)
    x = (pixels.reshape(count, height * width) / 255).astype(np.float32)
    return Dataset(x, labels.astype(np.int64))


def _require(condition: bool, folder: Path, part: str) -> None:
    if not condition:
        raise DatasetMissing(f"{folder}: {part} is no IDX file of Fashion-MNIST")


def _sample(data: Dataset, size: int, seed: int) -> Dataset:
    chosen = np.random.default_rng(seed).permutation(len(data))[:size]
    return Dataset(np.ascontiguousarray(data.x[chosen]), data.y[chosen])
