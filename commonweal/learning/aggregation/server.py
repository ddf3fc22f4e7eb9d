"""Server optimisers: what a round's step does to the model. Element-wise, so exact everywhere.

Adam and Yogi without bias correction, as in Reddi et al. 2021 (FedAdam, FedYogi); momentum and
Nesterov as in Sutskever et al. 2013. The moments are float32 tensors of the model's shapes, that a
model's manifest links to: whoever has the parent's can compute the next ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from commonweal.learning.aggregation.blocks import Block
from commonweal.learning.weights import (
    Buffer,
    InvalidWeights,
    Shapes,
    Weights,
    decode_tensors,
    encode_tensors,
    encoded_size,
    shapes_of,
)
from commonweal.protocol.specs import JobSpec, ServerOptimiserSpec

Moments = Mapping[str, NDArray[np.float32]]  # by moment, one block of one tensor


@dataclass(frozen=True, slots=True)
class GlobalModel:
    """`moments`: by "moment/tensor"; without any, all of them are zero."""

    weights: Weights
    moments: Weights = field(default_factory=dict)


def moment_names(spec: ServerOptimiserSpec) -> tuple[str, ...]:
    """Ascending. Plain SGD keeps none."""
    if spec.kind in ("adam", "yogi"):
        return ("first", "second")
    return ("first",) if spec.momentum > 0 else ()


def moment_shapes(spec: ServerOptimiserSpec, shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """What the file of a model's moments holds; empty if the optimiser keeps none."""
    return {
        f"{moment}/{name}": tuple(shape)
        for moment in moment_names(spec)
        for name, shape in sorted(shapes.items())
    }


def encode_moments(model: GlobalModel) -> bytes:
    """The one byte form of a model's moments: safetensors, float32, names ascending."""
    return encode_tensors(model.moments, "F32")


def decode_moments(data: Buffer, spec: JobSpec) -> Weights:
    """What `encode_moments` wrote for this job; views over `data`. Raises InvalidWeights."""
    return decode_tensors(data, _job_shapes(spec), "F32")


def moments_size(spec: JobSpec) -> int:
    """Bytes of the file of moments: ask for no more when fetching it."""
    return encoded_size(_job_shapes(spec), "F32")


def _job_shapes(spec: JobSpec) -> dict[str, tuple[int, ...]]:
    return moment_shapes(spec.aggregation.server_optimiser, shapes_of(spec.model))


def fill_moments(spec: ServerOptimiserSpec, model: GlobalModel) -> Weights:
    """The model's moments, or zeros. Raises InvalidWeights for those of another optimiser."""
    shapes = moment_shapes(spec, {name: t.shape for name, t in model.weights.items()})
    if not model.moments:
        return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    found = {name: tensor.shape for name, tensor in model.moments.items()}
    if found != shapes:
        odd = sorted(found.keys() ^ shapes.keys())[:8]
        raise InvalidWeights("moments of another optimiser", reason="tensors", odd=odd)
    return model.moments


def advance_step(spec: ServerOptimiserSpec, step: Block, before: Moments, after: Moments) -> Block:
    """The step to take instead of `step`; the new moments, rounded to float32, go to `after`.

    The step itself is made from the moments before they are rounded.
    """
    if not before:
        return step
    if spec.kind in ("adam", "yogi"):
        return _adapt(spec, step, before, after)
    first = np.add(np.multiply(before["first"], spec.momentum, dtype=np.float64), step)
    after["first"][:] = first.astype(np.float32)
    if spec.kind == "sgd":
        return first
    return np.add(np.multiply(first, spec.momentum), step)


def _adapt(spec: ServerOptimiserSpec, step: Block, before: Moments, after: Moments) -> Block:
    first = _blend(spec.momentum, before["first"], step)
    square = np.multiply(step, step)
    old = before["second"].astype(np.float64)
    if spec.kind == "adam":
        second = _blend(spec.second_momentum, old, square)
    else:
        gap = np.sign(np.subtract(old, square))
        change = np.multiply(np.multiply(square, gap), 1.0 - spec.second_momentum)
        second = np.subtract(old, change)
    after["first"][:] = first.astype(np.float32)
    after["second"][:] = second.astype(np.float32)
    return np.divide(first, np.add(np.sqrt(second), spec.epsilon))


def _blend(kept: float, old: NDArray[np.floating], new: Block) -> Block:
    blended: Block = np.multiply(old, kept, dtype=np.float64)
    return np.add(blended, np.multiply(new, 1.0 - kept), out=blended)
