"""A node's own data: where they come from, and their split into training and hold-out parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from commonweal.errors import InvalidInput
from commonweal.protocol.specs import DataSpec


class InvalidData(InvalidInput):
    """Details name `file` and, where it applies, `column` and `row` (1-based, header not counted)."""

    code = "invalid-data"


@dataclass(frozen=True, slots=True)
class Dataset:
    """x: float32 (n, *features), y: int64 (n,), labels from 0."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, slots=True)
class LocalData:
    """What a node trains on, and what it keeps back to judge others by. Neither is ever empty."""

    train: Dataset
    holdout: Dataset


class _Source(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.2
    holdout_seed: Annotated[int, Field(ge=0)] = 0


class DigitsPart(BaseModel):
    """Part `index` of `parts`, Dirichlet(alpha) over labels; one part is the whole set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    parts: Annotated[int, Field(ge=1, le=512)] = 1
    index: Annotated[int, Field(ge=0)] = 0
    alpha: Annotated[float, Field(gt=0)] = 0.5
    seed: Annotated[int, Field(ge=0)] = 0


class DigitsSource(_Source):
    """Scikit-learn's digits, less the test part `digits_test_part(part.seed)`."""

    kind: Literal["digits"] = "digits"
    part: DigitsPart = DigitsPart()


class NpzSource(_Source):
    kind: Literal["npz"] = "npz"
    path: Path
    x: str = "x"
    y: str = "y"


class CsvSource(_Source):
    """A header line, one label column, every other column (or those named) a feature."""

    kind: Literal["csv"] = "csv"
    path: Path
    label: str
    columns: tuple[str, ...] | None = None


class ParquetSource(_Source):
    kind: Literal["parquet"] = "parquet"
    path: Path
    label: str
    columns: tuple[str, ...] | None = None


DataSource = Annotated[
    DigitsSource | NpzSource | CsvSource | ParquetSource, Field(discriminator="kind")
]


def load_dataset(source: DataSource, spec: DataSpec) -> LocalData:
    """Read, check against the job's spec, reshape to its features, split. Raises InvalidData."""
    raise NotImplementedError


def partition_dirichlet(
    labels: NDArray[np.int64], parts: int, alpha: float, seed: int
) -> list[NDArray[np.int64]]:
    """Disjoint row indices per part, together all rows, none of the parts (nearly) empty."""
    raise NotImplementedError


def digits_test_part(seed: int) -> Dataset:
    """A stratified fifth of the digits, x (n, 64) in 0…1, that no DigitsSource of this seed holds."""
    raise NotImplementedError
