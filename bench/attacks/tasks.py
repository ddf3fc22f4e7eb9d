"""What the lab trains: handwritten digits and Fashion-MNIST, dealt to twenty trainers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from safetensors.numpy import save

from commonweal.errors import NotFound
from commonweal.learning.data import (
    Dataset,
    DigitsPart,
    DigitsSource,
    IdxSource,
    LocalData,
    deal,
    digits_test_part,
    load_dataset,
    read_dataset,
    stratified_holdout,
)
from commonweal.protocol.cids import compute_cid
from commonweal.protocol.specs import (
    DataSpec,
    JobSpec,
    MlpModel,
    ScoringSpec,
    TrainingSpec,
)

Skew = Literal["label", "quantity", "feature"]

CLASSES = 10
ROUNDS = {"digits": 25, "fashion": 15}
# A trainer's epochs in a round, and its learning rate.
_TRAINING = {"digits": (5, 0.5), "fashion": (2, 0.1)}
# Samples that the job names: all learn from them and judge by them, and attackers know them.
VALIDATION = {"digits": 100, "fashion": 200}
FASHION_FOLDERS = (Path("/usr/share/datasets/fashion-mnist"), Path("data/fashion-mnist"))
_FASHION_TRAIN, _FASHION_TEST = 6_000, 2_000  # samples used: two cores, hundreds of runs


class DatasetMissing(NotFound):
    code = "dataset-missing"


@dataclass(frozen=True, slots=True)
class Task:
    """One training job, its trainers' data and the test set that nobody trains on.

    Every part's hold-out is the job's validation set, as in a node; the job shares it.
    """

    spec: JobSpec
    parts: tuple[LocalData, ...]
    test: Dataset
    rounds: int


def make_task(
    dataset: str,
    alpha: float,
    seed: int,
    trainers: int,
    folder: Path | None,
    skew: Skew = "label",
) -> Task:
    """`dataset`: digits or fashion, whose files are in `folder`. Raises DatasetMissing."""
    if dataset == "digits":
        pool, test = _load_digits(seed), digits_test_part(seed)
    else:
        where = folder or find_fashion()
        pool = _sample(read_idx(where, "train"), _FASHION_TRAIN, seed)
        test = _sample(read_idx(where, "t10k"), _FASHION_TEST, seed)
    rest, validation = _keep_apart(pool, VALIDATION[dataset], seed)
    spec = _spec(dataset, pool.x.shape[1], validation, seed)
    dealt = deal(rest, trainers, skew, alpha, seed)
    parts = tuple(LocalData(part, validation) for part in dealt)
    return Task(spec, parts, test, ROUNDS[dataset])


def _load_digits(seed: int) -> Dataset:
    as_they_are = DataSpec(features=(64,), classes=CLASSES)
    source = DigitsSource(part=DigitsPart(seed=seed), holdout=0.01)
    return load_dataset(source, as_they_are).to_judge_by()


def _keep_apart(pool: Dataset, size: int, seed: int) -> tuple[Dataset, Dataset]:
    held = stratified_holdout(pool.y, size / len(pool), seed)
    return Dataset(pool.x[~held], pool.y[~held]), Dataset(pool.x[held], pool.y[held])


def _spec(name: str, inputs: int, shared: Dataset, seed: int) -> JobSpec:
    epochs, learning_rate = _TRAINING[name]
    validation = compute_cid(save({"x": shared.x, "y": shared.y}), "raw")
    return JobSpec(
        name=name,
        model=MlpModel(inputs=inputs, hidden=(64,), classes=CLASSES),
        training=TrainingSpec(
            loss="balanced-cross-entropy",
            learning_rate=learning_rate,
            epochs=epochs,
            batch_size=32,
            clip_norm=2.0,
            seed=seed,
        ),
        scoring=ScoringSpec(reference_epochs=epochs),
        data=DataSpec(
            features=(inputs,),
            classes=CLASSES,
            validation=str(validation),
            share_validation=True,
        ),
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
    """`part`: train or t10k; x (n, 784) in 0…1, float32. Raises InvalidData."""
    images, labels = (folder / f"{part}-{name}-ubyte.gz" for name in ("images-idx3", "labels-idx1"))
    data = read_dataset(IdxSource(images=images, labels=labels))
    return Dataset(data.x.reshape(len(data), -1), data.y)


def _sample(data: Dataset, size: int, seed: int) -> Dataset:
    chosen = np.random.default_rng(seed).permutation(len(data))[:size]
    return Dataset(np.ascontiguousarray(data.x[chosen]), data.y[chosen])
