"""What the lab trains: handwritten digits and Fashion-MNIST, dealt to twenty trainers."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from commonweal.errors import NotFound
from commonweal.learning.data import (
    Dataset,
    DigitsPart,
    DigitsSource,
    LocalData,
    digits_test_part,
    load_dataset,
    partition_dirichlet,
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

CLASSES = 10
HOLDOUT = 0.2
FASHION_FOLDERS = (Path("/usr/share/datasets/fashion-mnist"), Path("data/fashion-mnist"))
_FASHION_TRAIN, _FASHION_TEST = 12_000, 2_000  # samples used: two cores, hundreds of runs
_IDX_IMAGES, _IDX_LABELS = 2051, 2049


class DatasetMissing(NotFound):
    code = "dataset-missing"


@dataclass(frozen=True, slots=True)
class Task:
    """One training job, its trainers' data and the test set that nobody trains on."""

    spec: JobSpec
    parts: tuple[LocalData, ...]
    test: Dataset
    rounds: int


def make_task(dataset: str, alpha: float, seed: int, trainers: int, folder: Path | None) -> Task:
    """`dataset`: digits or fashion. Raises DatasetMissing."""
    if dataset == "digits":
        return _make_digits(alpha, seed, trainers)
    return _make_fashion(alpha, seed, trainers, folder)


def _make_digits(alpha: float, seed: int, trainers: int) -> Task:
    spec = _spec("digits", (64,), hidden=64, epochs=5, seed=seed)
    parts = tuple(
        load_dataset(
            DigitsSource(
                part=DigitsPart(parts=trainers, index=index, alpha=alpha, seed=seed),
                holdout=HOLDOUT,
            ),
            spec.data,
        )
        for index in range(trainers)
    )
    return Task(spec, parts, digits_test_part(seed), rounds=25)


def _make_fashion(alpha: float, seed: int, trainers: int, folder: Path | None) -> Task:
    spec = _spec("fashion", (784,), hidden=64, epochs=2, seed=seed)
    where = folder or find_fashion()
    train = _sample(read_idx(where, "train"), _FASHION_TRAIN, seed)
    test = _sample(read_idx(where, "t10k"), _FASHION_TEST, seed)
    rows = partition_dirichlet(train.y, trainers, alpha, seed)
    parts = tuple(_split(Dataset(train.x[part], train.y[part])) for part in rows)
    return Task(spec, parts, test, rounds=20)


def _spec(name: str, features: tuple[int, ...], hidden: int, epochs: int, seed: int) -> JobSpec:
    return JobSpec(
        name=name,
        model=MlpModel(inputs=features[0], hidden=(hidden,), classes=CLASSES),
        training=TrainingSpec(
            loss="balanced-cross-entropy",
            learning_rate=0.1,
            epochs=epochs,
            batch_size=16,
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


def _split(data: Dataset) -> LocalData:
    held: NDArray[np.bool] = stratified_holdout(data.y, HOLDOUT, 0)
    return LocalData(Dataset(data.x[~held], data.y[~held]), Dataset(data.x[held], data.y[held]))
