"""A model's weights: names and shapes from the spec, first values, and their one byte form.

Numpy only: what verifies a job must run where torch does not.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from commonweal.errors import InvalidInput
from commonweal.protocol.specs import CnnModel, LogisticModel, MlpModel, ModelSpec

Weights = dict[str, NDArray[np.float32]]
Shapes = Mapping[str, tuple[int, ...]]
TensorKind = Literal["F32", "F16"]
Buffer = bytes | bytearray | memoryview

_DTYPES: dict[TensorKind, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}
DEFAULT_MAX_MODEL_BYTES = 4 * 2**30
_LENGTH = struct.Struct("<Q")
_MAX_EXPLAINED = 2**20  # a parser would blow up a header of brackets many times


class InvalidWeights(InvalidInput):
    """`reason` is one of size, header, tensors, dtype, shape, offsets, not-finite."""

    code = "invalid-weights"


class ModelTooLarge(InvalidInput):
    code = "model-too-large"


def require_model_size(model: ModelSpec, max_bytes: int) -> None:
    """Before anything of that size is fetched or made. Raises ModelTooLarge."""
    size = _DTYPES["F32"].itemsize * parameter_count(shapes_of(model))
    if size > max_bytes:
        message = f"the model has {size} bytes, the limit is {max_bytes}"
        raise ModelTooLarge(message, size=size, limit=max_bytes)


def shapes_of(model: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Tensor names, ascending, with their shapes; weights are (outputs, inputs[, 3, 3])."""
    if isinstance(model, LogisticModel):
        shapes = _linear("output", model.inputs, model.classes)
    elif isinstance(model, MlpModel):
        shapes = _mlp_shapes(model)
    else:
        shapes = _cnn_shapes(model)
    return dict(sorted(shapes.items()))


def parameter_count(shapes: Shapes) -> int:
    return sum(math.prod(shape) for shape in shapes.values())


def initial_weights(model: ModelSpec, seed: int) -> Weights:
    """He-uniform weights and zero biases, the same on every machine for one seed."""
    generator = np.random.Generator(np.random.PCG64(seed))
    return {name: _initial(generator, shape) for name, shape in shapes_of(model).items()}


def encode_weights(weights: Weights) -> bytes:
    """Safetensors, float32, names ascending, no metadata: one model has one byte form."""
    return encode_tensors(weights, "F32")


def hash_weights(weights: Weights) -> bytes:
    """SHA-256 of what `encode_weights` gives, without making it."""
    shapes = {name: weights[name].shape for name in sorted(weights)}
    digest = hashlib.sha256(_header(shapes, "F32"))
    for name in shapes:
        digest.update(weights[name].astype(_DTYPES["F32"], order="C", copy=False).data)
    return digest.digest()


def decode_weights(data: Buffer, shapes: Shapes) -> Weights:
    """Read what `encode_weights` wrote; views over `data`, read-only.

    Raises InvalidWeights when a byte of the header differs from what the shapes demand.
    """
    return decode_tensors(data, shapes, "F32")


def encode_tensors(weights: Mapping[str, NDArray[np.float32]], kind: TensorKind) -> bytes:
    shapes = {name: weights[name].shape for name in sorted(weights)}
    with np.errstate(over="ignore"):
        tensors = {name: weights[name].astype(_DTYPES[kind], order="C") for name in shapes}
    _require_finite(tensors)
    return _header(shapes, kind) + b"".join(tensor.tobytes() for tensor in tensors.values())


def decode_tensors(data: Buffer, shapes: Shapes, kind: TensorKind) -> Weights:
    """The only accepted header is the one these shapes give, so nothing it says is relied on."""
    ordered = dict(sorted(shapes.items()))
    header = _header(ordered, kind)
    want = encoded_size(ordered, kind)
    if bytes(data[: len(header)]) != header:
        raise _explain(bytes(data[: len(header) + 2**16]), ordered, kind)
    if len(data) != want:
        raise InvalidWeights("wrong size", reason="size", have=len(data), want=want)
    return _views(data, ordered, kind, len(header))


def encoded_size(shapes: Shapes, kind: TensorKind) -> int:
    header = _header(dict(sorted(shapes.items())), kind)
    return len(header) + _DTYPES[kind].itemsize * parameter_count(shapes)


def _views(data: Buffer, shapes: Shapes, kind: TensorKind, start: int) -> Weights:
    weights: Weights = {}
    for name, shape in shapes.items():
        count = math.prod(shape)
        tensor = np.frombuffer(data, _DTYPES[kind], count=count, offset=start).reshape(shape)
        _require_finite({name: tensor})
        weights[name] = tensor.astype(np.float32, copy=False)
        weights[name].flags.writeable = False
        start += count * _DTYPES[kind].itemsize
    return weights


def _header(shapes: Shapes, kind: TensorKind) -> bytes:
    """The bytes that the safetensors library writes for these tensors, length word included."""
    entries, start = {}, 0
    for name, shape in shapes.items():
        end = start + _DTYPES[kind].itemsize * math.prod(shape)
        entries[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return _LENGTH.pack(len(text)) + text


def _explain(data: bytes, shapes: Shapes, kind: TensorKind) -> InvalidWeights:
    """Name the first lie of a header that is already known to be wrong, if it is not huge."""
    want = _parse(_header(shapes, kind))
    have = _parse(data)
    if have is None or want is None:
        return InvalidWeights("not a safetensors header", reason="header", bytes=len(data))
    if have.keys() != want.keys():
        odd = sorted(have.keys() ^ want.keys())[:8]
        return InvalidWeights("wrong tensors", reason="tensors", odd=odd)
    for name, entry in want.items():
        for field in ("dtype", "shape", "data_offsets"):
            found = have[name].get(field) if isinstance(have[name], dict) else None
            if found != entry[field]:
                reason = field.removeprefix("data_")
                message = f"wrong {reason} of {name}"
                return InvalidWeights(message, reason=reason, tensor=name, want=entry[field])
    return InvalidWeights("header not in canonical form", reason="header")


def _parse(data: bytes) -> dict[str, Any] | None:
    if len(data) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(data)
    if length > min(len(data) - _LENGTH.size, _MAX_EXPLAINED):
        return None
    try:
        parsed = json.loads(data[_LENGTH.size : _LENGTH.size + length])
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _require_finite(tensors: Mapping[str, NDArray[Any]]) -> None:
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise InvalidWeights(f"NaN or Inf in {name}", reason="not-finite", tensor=name)


def _linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.bias": (outputs,), f"{name}.weight": (outputs, inputs)}


def _mlp_shapes(model: MlpModel) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    width = model.inputs
    for depth, hidden in enumerate(model.hidden):
        shapes |= _linear(f"hidden{depth:02}", width, hidden)
        width = hidden
    return shapes | _linear("output", width, model.classes)


def _cnn_shapes(model: CnnModel) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    channels, height, width = model.shape
    for depth, outputs in enumerate(model.channels):
        name = f"conv{depth:02}"
        shapes |= {f"{name}.bias": (outputs,), f"{name}.weight": (outputs, channels, 3, 3)}
        channels, height, width = outputs, height // 2, width // 2
    return shapes | _linear("output", channels * height * width, model.classes)


def _initial(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if len(shape) == 1:
        return np.zeros(shape, np.float32)
    # Divide and scale in float64, element by element: the bytes must not depend on the machine.
    bound = math.sqrt(6.0 / math.prod(shape[1:]))
    uniform = generator.random(shape, dtype=np.float64)
    return ((uniform * 2.0 - 1.0) * bound).astype(np.float32)
