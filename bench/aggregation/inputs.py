"""Updates as files that are mapped, and how fast they can be read at all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from commonweal.learning.aggregation import ScoredUpdate
from commonweal.learning.weights import Weights
from commonweal.protocol.types import Address

_CHUNK = 2**20
_LEAST_SECONDS, _MOST_TURNS = 0.1, 20


@dataclass(frozen=True, slots=True)
class Inputs:
    files: tuple[Path, ...]
    params: int

    @property
    def bytes(self) -> int:
        return 4 * self.params * len(self.files)


def make_inputs(folder: Path, count: int, params: int) -> Inputs:
    """Normal deltas around a common direction, each file another; made from a few draws."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(params)
    common, noise = (generator.standard_normal(params, dtype=np.float32) for _ in range(2))
    files = []
    for at in range(count):
        files.append(folder / f"{at:03}.f32")
        np.add(common, np.roll(noise, at * 7919 + 1)).tofile(files[-1])
    return Inputs(tuple(files), params)


def split(flat: NDArray[np.float32]) -> Weights:
    """Three tensors, as a model has several."""
    first, second = flat.size * 6 // 10, flat.size * 9 // 10
    return {"a": flat[:first], "b": flat[first:second], "c": flat[second:]}


def map_updates(inputs: Inputs) -> list[ScoredUpdate]:
    """Ascending by trainer; scores all different."""
    return [
        ScoredUpdate(Address(f"0x{at + 1:040x}"), 1000 + at, split(_map(path, inputs.params)))
        for at, path in enumerate(inputs.files)
    ]


def _map(path: Path, params: int) -> NDArray[np.float32]:
    return np.memmap(path, np.float32, "r", shape=(params,))


@dataclass(frozen=True, slots=True)
class Timing:
    """`cpu`: seconds of all threads together, which other work on the machine does not lengthen."""

    seconds: float
    cpu: float


class Stopwatch:
    def __init__(self) -> None:
        self._began, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> Timing:
        return Timing(time.perf_counter() - self._began, time.process_time() - self._cpu)


def is_short(timings: Sequence[Timing]) -> bool:
    """Whether too little was timed yet: of three turns of milliseconds the first two warm up."""
    return len(timings) < _MOST_TURNS and sum(t.seconds for t in timings) < _LEAST_SECONDS


def measure_reading(updates: Sequence[ScoredUpdate], threads: int) -> Timing:
    """Time to read every number once: an inner product with itself, a chunk at a time.

    By numpy's BLAS, on one thread for each of ours; there is nothing faster to read with in it.
    """
    chunks = [
        tensor[at : at + _CHUNK]
        for update in updates
        for tensor in update.delta.values()
        for at in range(0, tensor.size, _CHUNK)
    ]
    watch = Stopwatch()
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(lambda chunk: float(np.dot(chunk, chunk)), chunks):
            pass
    return watch.read()
