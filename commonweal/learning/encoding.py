"""An update's byte form, in the encoding that the spec names. Numpy only.

Floats are safetensors; the other encodings see the delta as one vector, tensors in ascending name
order, and have no header, for the spec says all that one would. Each update has one byte form.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from commonweal.learning.encoding_blocks import BlockCode, Values
from commonweal.learning.encoding_errors import InvalidUpdate, require
from commonweal.learning.encoding_sparse import FloatCode, SparseCode
from commonweal.learning.weights import (
    Buffer,
    InvalidWeights,
    Shapes,
    TensorKind,
    Weights,
    decode_tensors,
    encode_tensors,
    encoded_size,
    parameter_count,
    shapes_of,
)
from commonweal.protocol.specs import (
    BlockEncoding,
    EncodingSpec,
    FloatEncoding,
    JobSpec,
    QuantisedTopKEncoding,
    TopKEncoding,
)

__all__ = [
    "InvalidUpdate",
    "compute_delta",
    "decode_update",
    "encode_update",
    "encode_with_feedback",
    "update_size",
]

_KINDS: dict[str, TensorKind] = {"fp32": "F32", "fp16": "F16"}


def compute_delta(new: Weights, parent: Weights) -> Weights:
    """`new − parent`, float32, tensor by tensor."""
    if {n: t.shape for n, t in new.items()} != {n: t.shape for n, t in parent.items()}:
        raise InvalidUpdate("weights of another model", reason="shape")
    return {name: np.subtract(new[name], parent[name]) for name in sorted(parent)}


def encode_update(delta: Weights, encoding: EncodingSpec) -> bytes:
    """Raises InvalidUpdate when the delta is not finite, or leaves the encoding's range."""
    if isinstance(encoding, FloatEncoding):
        try:
            return encode_tensors(delta, _KINDS[encoding.kind])
        except InvalidWeights as error:
            raise InvalidUpdate(error.message, **error.details) from error
    vector = _flatten(delta)
    require(bool(np.isfinite(vector).all()), "not-finite", "NaN or Inf in the delta")
    return _code(encoding, len(vector)).encode(vector)


def encode_with_feedback(
    delta: Weights, residual: Weights | None, spec: JobSpec
) -> tuple[bytes, Weights | None]:
    """The payload of `delta` and what earlier payloads left out, and what this one leaves out.

    Error feedback (Seide et al. 2014; Karimireddy et al. 2019): what an encoding loses is not lost
    but late. `residual`: as it came out of the round before, None at first; float32 has none.
    """
    if spec.encoding.kind == "fp32":
        return encode_update(delta, spec.encoding), None
    wanted = delta if residual is None else _add(delta, residual)
    payload = encode_update(wanted, spec.encoding)
    return payload, compute_delta(wanted, decode_update(payload, spec))


def decode_update(payload: Buffer, spec: JobSpec) -> Weights:
    """The delta in float32. Raises InvalidUpdate before anything is allocated."""
    limit = spec.limits.max_update_bytes
    if len(payload) > limit:
        raise InvalidUpdate("too large", reason="too-large", have=len(payload), limit=limit)
    shapes = shapes_of(spec.model)
    if isinstance(spec.encoding, FloatEncoding):
        try:
            return decode_tensors(payload, shapes, _KINDS[spec.encoding.kind])
        except InvalidWeights as error:
            raise InvalidUpdate(error.message, **error.details) from error
    length = parameter_count(shapes)
    code = _code(spec.encoding, length)
    if isinstance(code, SparseCode):
        return _cut(code.decode(payload), shapes)
    want = code.size(length)
    require(len(payload) == want, "size", "wrong size", have=len(payload), want=want)
    return _cut(code.decode(payload, length), shapes)


def update_size(spec: JobSpec) -> int:
    """Bytes of the largest valid payload of this job: ask for no more when fetching one."""
    shapes = shapes_of(spec.model)
    if isinstance(spec.encoding, FloatEncoding):
        return encoded_size(shapes, _KINDS[spec.encoding.kind])
    code = _code(spec.encoding, parameter_count(shapes))
    return code.largest if isinstance(code, SparseCode) else code.size(parameter_count(shapes))


@cache
def _code(
    encoding: BlockEncoding | TopKEncoding | QuantisedTopKEncoding, length: int
) -> BlockCode | SparseCode:
    if isinstance(encoding, BlockEncoding):
        return BlockCode(8 if encoding.kind == "int8" else 4, encoding.block)
    most = -(-length // encoding.one_in)
    if isinstance(encoding, TopKEncoding):
        return SparseCode(length, most, FloatCode())
    bits = BlockCode(8 if encoding.kind == "top-k-int8" else 4, encoding.block, without_zero=True)
    return SparseCode(length, most, bits)


def _add(first: Weights, second: Weights) -> Weights:
    return {name: np.add(tensor, second[name]) for name, tensor in first.items()}


def _flatten(delta: Weights) -> Values:
    flat: Values = np.concatenate([delta[name].reshape(-1) for name in sorted(delta)])
    return flat.astype(np.float32, copy=False)


def _cut(vector: Values, shapes: Shapes) -> Weights:
    """Read-only views of `vector`."""
    vector.flags.writeable = False
    weights: Weights = {}
    start = 0
    for name, shape in shapes.items():
        end = start + math.prod(shape)
        weights[name] = vector[start:end].reshape(shape)
        start = end
    return weights
