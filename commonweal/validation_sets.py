"""Validation sets: a few labelled samples that a job names for all its members. Safetensors.

Judges add them to their own data; trainers learn from them too where the job says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from commonweal.adapters.content.unixfs import file_cid
from commonweal.learning.data import Dataset, DataSource, InvalidData, conform, read_dataset
from commonweal.protocol.specs import DataSpec

MAX_VALIDATION_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class ValidationSet:
    cid: str
    content: bytes


def read_validation_set(source: DataSource, folder: Path, spec: DataSpec) -> ValidationSet:
    """All rows of the source, whose files are in `folder` or below. Raises InvalidData.

    Nowhere else: the set is published, and who wrote the job file may not be who submits it.
    """
    if ignored := source.model_fields_set & {"holdout", "holdout_seed"}:
        raise InvalidData(f"all rows are shared: leave {', '.join(sorted(ignored))} out")
    paths = {name: _locate(folder, path) for name, path in source if isinstance(path, Path)}
    found = source.model_copy(update=paths)
    try:
        data = read_dataset(found)
    except (OSError, ValueError) as error:
        raise InvalidData(str(error)) from error
    return encode_validation_set(conform(data, spec, found), spec)


def _locate(folder: Path, path: Path) -> Path:
    home = folder.resolve()
    found = (home / path).resolve()
    if not found.is_relative_to(home):
        raise InvalidData(f"{path} is not in the job file's folder or below", file=str(path))
    return found


def encode_validation_set(data: Dataset, spec: DataSpec) -> ValidationSet:
    """Raises InvalidData for what nodes would refuse."""
    content = save({"x": np.ascontiguousarray(data.x), "y": data.y})
    if len(content) > MAX_VALIDATION_BYTES:
        message = f"a validation set of {len(content)} bytes, at most {MAX_VALIDATION_BYTES}"
        raise InvalidData(message, have=len(content), most=MAX_VALIDATION_BYTES)
    parse_validation_set(content, spec)
    return ValidationSet(file_cid(content), content)


def parse_validation_set(content: bytes, spec: DataSpec) -> Dataset:
    """x (n, *features) float32 and y (n,) int64. Raises InvalidData."""
    try:
        tensors = load(content)
    except (SafetensorError, KeyError) as error:  # KeyError: a type that numpy does not know
        raise InvalidData(f"the validation set is not safetensors: {error}") from error
    x, y = tensors.get("x"), tensors.get("y")
    if x is None or y is None or x.dtype != np.float32 or y.dtype != np.int64:
        raise InvalidData("the validation set needs x (float32) and y (int64)")
    if y.ndim != 1 or len(y) == 0 or x.shape != (len(y), *spec.features):
        shapes = f"x has {x.shape}, y {y.shape}; wanted are (n, *{spec.features}) and (n,), n > 0"
        raise InvalidData(f"the validation set: {shapes}", x=list(x.shape), y=list(y.shape))
    if not np.isfinite(x).all() or y.min() < 0 or y.max() >= spec.classes:
        raise InvalidData("the validation set holds impossible values", classes=spec.classes)
    return Dataset(x, y)
