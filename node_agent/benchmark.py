"""`weal-node bench`: what this machine does, measured by doing it. Publishing is `owner`'s.

A measure that cannot be made has its reason in the place of a figure; it never ends the others.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.fetching import Authorise, ContentFetcher
from commonweal.errors import CommonwealError
from commonweal.learning.data import Dataset
from commonweal.learning.training import train
from commonweal.learning.weights import initial_weights
from commonweal.protocol.manifests import CapabilitiesManifest
from commonweal.protocol.specs import (
    CnnModel,
    DataSpec,
    JobSpec,
    LogisticModel,
    MlpModel,
    ModelSpec,
    TrainingSpec,
)
from node_agent.capabilities import measure_capabilities

_MIB = 2**20
_PROBE_BYTES = 4 * _MIB  # to a coordinator and back: it lets them go when it needs room
_DISK_BYTES = 32 * _MIB
_SECONDS = 0.5  # of training per family, at least
_SHAPE, _CLASSES, _SAMPLES = (1, 28, 28), 10, 1024
FAMILIES: Mapping[str, ModelSpec] = {
    "logistic": LogisticModel(inputs=784, classes=_CLASSES),
    "mlp": MlpModel(inputs=784, hidden=(128,), classes=_CLASSES),
    "cnn": CnnModel(shape=_SHAPE, channels=(8, 16), classes=_CLASSES),
}
Value = int | float | str


@dataclass(frozen=True, slots=True)
class Measure:
    """`name` as in the manifest; `value` None with a `reason` when there is no figure."""

    name: str
    value: Value | None
    reason: str = ""


def measure_machine(
    folder: Path, coordinator: str | None, authorise: Authorise | None = None
) -> Iterator[Measure]:
    """One after the other, as they are made: families, disk below `folder`, GPU, bandwidth."""
    for family, model in FAMILIES.items():
        name = f"{family}_samples_per_second"
        yield _try(name, lambda model=model: measure_training(model))  # type: ignore[misc]
    yield _try("disk_free_mib", lambda: shutil.disk_usage(folder).free // _MIB)
    yield _try("disk_write_mib_per_second", lambda: measure_disk(folder))
    yield from _find_gpu()
    if coordinator is not None:
        yield from measure_bandwidth(coordinator, authorise)


def make_manifest(measures: list[Measure], declared: Mapping[str, str]) -> CapabilitiesManifest:
    """What registration finds of the machine too, and all figures that there are."""
    found = measure_capabilities(declared)
    figures = {each.name: each.value for each in measures if each.value is not None}
    return found.model_copy(update={"measured": {**found.measured, **figures}})


def measure_training(model: ModelSpec, clock: Callable[[], float] = time.perf_counter) -> float:
    """Samples per second that one thread (or the GPU) trains on: 28 × 28 floats, batches of 32."""
    spec = JobSpec(
        name="bench",
        model=model,
        training=TrainingSpec(learning_rate=0.01, epochs=1, batch_size=32),
        data=DataSpec(features=_SHAPE, classes=_CLASSES),
    )
    generator = np.random.default_rng(0)
    x = generator.standard_normal((_SAMPLES, *_SHAPE)).astype(np.float32)
    data = Dataset(x, generator.integers(0, _CLASSES, _SAMPLES))
    weights = initial_weights(model, 0)
    train(spec, weights, data, seed=0)  # the first pass loads what all others have at hand
    began, samples = clock(), 0
    while (seconds := clock() - began) < _SECONDS or not samples:
        samples += train(spec, weights, data, seed=0).samples
    return round(samples / seconds, 1)


def measure_disk(folder: Path) -> float:
    """MiB per second that reach the disk: written, then synchronised."""
    block = secrets.token_bytes(_MIB)
    with tempfile.TemporaryFile(dir=folder) as file:
        began = time.perf_counter()
        for _ in range(_DISK_BYTES // _MIB):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        return round(_DISK_BYTES / _MIB / (time.perf_counter() - began), 1)


def _find_gpu() -> Iterator[Measure]:
    import torch

    if not torch.cuda.is_available():
        yield Measure("gpu", None, "torch finds none")
        return
    yield Measure("gpu", torch.cuda.get_device_name())
    yield Measure("gpu_memory_mib", torch.cuda.get_device_properties(0).total_memory // _MIB)


def measure_bandwidth(url: str, authorise: Authorise | None) -> Iterator[Measure]:
    """Random bytes to a coordinator's content store, and back from it; megabits per second."""
    up, down = "upload_mbit_per_second", "download_mbit_per_second"
    with tempfile.TemporaryDirectory() as scratch:
        here = EmbeddedStore(Path(scratch) / "here")
        there = EmbeddedStore(Path(scratch) / "back")
        cid = here.put(secrets.token_bytes(_PROBE_BYTES))
        pushing = ContentFetcher(here, list, authorise=authorise, attempts=1)
        fetching = ContentFetcher(there, lambda: [url], attempts=1)
        try:
            yield _try(up, lambda: _rate(lambda: pushing.push(cid, to=url)))
            yield _try(down, lambda: _rate(lambda: fetching.fetch(cid, max_bytes=_PROBE_BYTES)))
        finally:
            pushing.close()
            fetching.close()


def _rate(move: Callable[[], object]) -> float:
    began = time.perf_counter()
    move()
    return round(8 * _PROBE_BYTES / 1e6 / (time.perf_counter() - began), 1)


def _try(name: str, measure: Callable[[], Value]) -> Measure:
    try:
        return Measure(name, measure())
    except CommonwealError as error:
        return Measure(name, None, f"{error.message} [{error.code}]")
    except OSError as error:
        return Measure(name, None, str(error))
