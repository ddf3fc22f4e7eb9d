"""Rows from a node's own files: NPZ, CSV, Parquet. Nothing here is unpickled or executed."""

from __future__ import annotations

import csv
import lzma
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from commonweal.errors import InvalidInput
from commonweal.extras import require_extra

Columns = list[tuple[str, Sequence[Any]]]  # the features' by name, then the label's
# RuntimeError: encrypted, or NotImplementedError for a compression that zipfile does not know.
_UNREADABLE = (TypeError, ValueError, RuntimeError, OSError, EOFError)
_DAMAGED = (BadZipFile, zlib.error, lzma.LZMAError)


class InvalidData(InvalidInput):
    """Details name `file` and, where it applies, `column` and `row` (from 1, after the header)."""

    code = "invalid-data"


@dataclass(frozen=True, slots=True)
class Dataset:
    """x: float32 (n, *features), y: int64 (n,), labels from 0."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)


class LocalSource(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.2
    holdout_seed: Annotated[int, Field(ge=0)] = 0


class NpzSource(LocalSource):
    kind: Literal["npz"] = "npz"
    path: Path
    x: str = "x"
    y: str = "y"


class CsvSource(LocalSource):
    """A header line, one label column, every other column (or those named) a feature."""

    kind: Literal["csv"] = "csv"
    path: Path
    label: str
    columns: tuple[str, ...] | None = None


class ParquetSource(LocalSource):
    kind: Literal["parquet"] = "parquet"
    path: Path
    label: str
    columns: tuple[str, ...] | None = None


def read_file(source: NpzSource | CsvSource | ParquetSource) -> Dataset:
    """All rows of a file. Raises InvalidData naming file, column and row."""
    if not source.path.is_file():
        raise InvalidData(f"{source.path}: no such file", file=str(source.path))
    if isinstance(source, NpzSource):
        return _read_npz(source)
    columns = _read_csv(source) if isinstance(source, CsvSource) else _read_parquet(source)
    return _from_columns(source.path, columns)


def _read_npz(source: NpzSource) -> Dataset:
    try:
        with np.load(source.path, allow_pickle=False) as arrays:
            x, y = (_member(source, arrays, name) for name in (source.x, source.y))
    except (*_UNREADABLE, *_DAMAGED) as error:
        raise _invalid(source.path, f"not an npz file: {error}") from error
    if x.ndim < 2 or y.ndim != 1 or len(x) != len(y) or len(y) == 0:
        raise _invalid(source.path, f"shapes {x.shape} and {y.shape} are not rows and labels")
    features = _numbers(source.path, source.x, x.reshape(len(x), -1)).reshape(x.shape)
    return Dataset(features, _labels(source.path, source.y, y))


def _member(source: NpzSource, arrays: Any, name: str) -> NDArray[Any]:
    if name not in arrays:
        raise _invalid(source.path, f"no array {name}, there are {arrays.files}", column=name)
    array: NDArray[Any] = arrays[name]
    if array.dtype.kind not in "biuf":
        raise _invalid(source.path, f"array {name} holds {array.dtype}, not numbers", column=name)
    return array


def _read_csv(source: CsvSource) -> Columns:
    with source.path.open(newline="", encoding="utf-8-sig") as file:
        try:
            header, *rows = [row for row in csv.reader(file, strict=True) if row] or [[]]
        except (csv.Error, UnicodeDecodeError) as error:
            raise _invalid(source.path, f"not CSV in UTF-8: {error}") from error
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            message = f"row {number}: {len(row)} fields, the header has {len(header)}"
            raise _invalid(source.path, message, row=number)
    place = {name: at for at, name in enumerate(header)}
    return [(name, [row[place[name]] for row in rows]) for name in _choose(source, header)]


def _read_parquet(source: ParquetSource) -> Columns:
    require_extra("pyarrow")
    import pyarrow  # type: ignore[import-untyped]
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(source.path) as file:
            names = _choose(source, file.schema_arrow.names)
            table = file.read(columns=list(names))
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _invalid(source.path, f"not a parquet file: {error}") from error
    return [(name, _to_list(source.path, name, table.column(name))) for name in names]


def _to_list(path: Path, name: str, column: Any) -> list[Any]:
    import pyarrow

    try:
        values: list[Any] = column.to_pylist()
    except (pyarrow.ArrowException, ValueError, OverflowError) as error:
        message = f"column {name} holds {column.type}, not numbers"
        raise _invalid(path, message, column=name) from error
    return values


def _choose(source: CsvSource | ParquetSource, header: Sequence[str]) -> tuple[str, ...]:
    """The features' columns, then the label's: each is there, and once."""
    features = source.columns or tuple(name for name in header if name != source.label)
    found = Counter(header)
    for name in (*features, source.label):
        if found[name] == 0:
            raise _invalid(source.path, f"no column {name}", column=name)
        if found[name] > 1:
            raise _invalid(source.path, f"{found[name]} columns are named {name!r}", column=name)
    if not features:
        raise _invalid(source.path, "no feature column")
    return (*features, source.label)


def _from_columns(path: Path, columns: Columns) -> Dataset:
    *features, (label, labels) = columns
    arrays = [_numbers(path, name, values) for name, values in features]
    for (name, _), array in zip(features, arrays, strict=True):
        have, want = array.shape[1:], arrays[0].shape[1:]
        if have != want:
            message = f"column {name}: shape {have} per row, {features[0][0]} has {want}"
            raise _invalid(path, message, column=name)
    return Dataset(np.stack(arrays, axis=1), _labels(path, label, labels))


def _numbers(path: Path, column: str, values: Any) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        try:
            numbers = np.asarray(values, dtype=np.float32)
        except (TypeError, ValueError):
            numbers = np.array([_number(value) for value in values], np.float32)
    bad = np.argwhere(~np.isfinite(numbers))
    if len(bad):
        row = int(bad[0][0]) + 1
        found = values[row - 1] if isinstance(values, list) else numbers[tuple(bad[0])]
        message = f"column {column}, row {row}: {found!r} is not a finite number"
        raise _invalid(path, message, column=column, row=row)
    return numbers


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")


def _labels(path: Path, column: str, values: Any) -> NDArray[np.int64]:
    numbers = np.asarray([_number(value) for value in values], np.float64)
    bad = np.flatnonzero(~(np.abs(numbers) < 2**31) | (numbers != np.floor(numbers)))
    if len(bad):
        row = int(bad[0]) + 1
        message = f"column {column}, row {row}: {values[row - 1]!r} is not a whole-number label"
        raise _invalid(path, message, column=column, row=row)
    return numbers.astype(np.int64)


def _invalid(path: Path, message: str, **details: object) -> InvalidData:
    return InvalidData(f"{path}: {message}", file=str(path), **details)
