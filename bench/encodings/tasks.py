"""What is trained: Fashion-MNIST with a CNN of 400 k parameters, or digits with a small one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.attacks.tasks import CLASSES, DatasetMissing, find_fashion, read_idx
from commonweal.learning.data import (
    Dataset,
    DigitsPart,
    DigitsSource,
    digits_test_part,
    load_dataset,
    partition_dirichlet,
)
from commonweal.protocol.specs import AggregationSpec, CnnModel, DataSpec, JobSpec, TrainingSpec

ALPHA = 0.5  # Dirichlet: how unlike the trainers' labels are
_TEST = 5_000


@dataclass(frozen=True, slots=True)
class Task:
    """One seed's job: its trainers' data and the test set that nobody trains on."""

    spec: JobSpec
    parts: tuple[Dataset, ...]
    test: Dataset


def make_task(dataset: str, seed: int, trainers: int, samples: int, folder: Path | None) -> Task:
    """`samples`: of the training set, dealt out to all trainers. Raises DatasetMissing."""
    if dataset == "digits":
        return _make_digits(seed, trainers)
    where = find_data(folder)
    train = _sample(read_idx(where, "train"), samples, seed)
    test = _sample(read_idx(where, "t10k"), _TEST, seed)
    model = CnnModel(shape=(1, 28, 28), channels=(16, 32, 136, 288), classes=CLASSES)
    return Task(_spec("fashion", model, seed), _deal(train, trainers, seed), test)


def find_data(folder: Path | None) -> Path:
    """The folder given, or where Debian's package puts the files. Raises DatasetMissing."""
    if folder is not None and not (folder / "train-images-idx3-ubyte.gz").exists():
        message = f"no Fashion-MNIST in {folder}: Debian's dataset-fashion-mnist has its IDX files"
        raise DatasetMissing(message, folder=str(folder))
    return folder or find_fashion()


def _make_digits(seed: int, trainers: int) -> Task:
    model = CnnModel(shape=(1, 8, 8), channels=(16, 32), classes=CLASSES)
    spec = _spec("digits", model, seed)
    sources = [
        DigitsSource(part=DigitsPart(parts=trainers, index=index, alpha=ALPHA, seed=seed))
        for index in range(trainers)
    ]
    parts = tuple(load_dataset(source, spec.data).train for source in sources)
    return Task(spec, parts, digits_test_part(seed))


def _spec(name: str, model: CnnModel, seed: int) -> JobSpec:
    training = TrainingSpec(
        loss="balanced-cross-entropy", learning_rate=0.05, clip_norm=2.0, seed=seed
    )
    data = DataSpec(features=(int(np.prod(model.shape)),), classes=CLASSES)
    mean = AggregationSpec(rule="mean", clip_to_median=False)
    return JobSpec(name=name, model=model, training=training, aggregation=mean, data=data)


def _sample(data: Dataset, size: int, seed: int) -> Dataset:
    chosen = np.random.default_rng(seed).permutation(len(data))[:size]
    return Dataset(np.ascontiguousarray(data.x[chosen]), data.y[chosen])


def _deal(data: Dataset, trainers: int, seed: int) -> tuple[Dataset, ...]:
    rows = partition_dirichlet(data.y, trainers, ALPHA, seed)
    return tuple(Dataset(data.x[part], data.y[part]) for part in rows)
