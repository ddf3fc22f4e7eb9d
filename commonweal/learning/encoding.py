"""An update's byte form: the delta as safetensors, in the precision of the spec. Numpy only."""

from __future__ import annotations

import numpy as np

from commonweal.errors import InvalidInput
from commonweal.learning.weights import (
    Buffer,
    InvalidWeights,
    TensorKind,
    Weights,
    decode_tensors,
    encode_tensors,
    encoded_size,
    shapes_of,
)
from commonweal.protocol.specs import EncodingSpec, JobSpec

_KINDS: dict[str, TensorKind] = {"fp32": "F32", "fp16": "F16"}


class InvalidUpdate(InvalidInput):
    """`reason` as in InvalidWeights, or too-large."""

    code = "invalid-update"


def compute_delta(new: Weights, parent: Weights) -> Weights:
    """`new − parent`, float32, tensor by tensor."""
    if {n: t.shape for n, t in new.items()} != {n: t.shape for n, t in parent.items()}:
        raise InvalidUpdate("weights of another model", reason="shape")
    return {name: np.subtract(new[name], parent[name]) for name in sorted(parent)}


def encode_update(delta: Weights, encoding: EncodingSpec) -> bytes:
    """Raises InvalidUpdate when the delta is not finite, or leaves the range of float16."""
    try:
        return encode_tensors(delta, _KINDS[encoding.kind])
    except InvalidWeights as error:
        raise InvalidUpdate(error.message, **error.details) from error


def decode_update(payload: Buffer, spec: JobSpec) -> Weights:
    """The delta in float32. Raises InvalidUpdate before anything is allocated."""
    limit = spec.limits.max_update_bytes
    if len(payload) > limit:
        raise InvalidUpdate("too large", reason="too-large", have=len(payload), limit=limit)
    try:
        return decode_tensors(payload, shapes_of(spec.model), _KINDS[spec.encoding.kind])
    except InvalidWeights as error:
        raise InvalidUpdate(error.message, **error.details) from error


def update_size(spec: JobSpec) -> int:
    """Bytes of every valid payload of this job: ask for no more when fetching one."""
    return encoded_size(shapes_of(spec.model), _KINDS[spec.encoding.kind])
