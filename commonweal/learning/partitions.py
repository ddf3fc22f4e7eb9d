"""Ways in which the data of a job's nodes differ: in labels, in amount, in the features themselves.

Rows of one set are dealt to parts, the same way for everybody who knows the seed. Numpy only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from commonweal.learning.data_files import InvalidData


def partition_dirichlet(
    labels: NDArray[np.int64], parts: int, alpha: float, seed: int
) -> list[NDArray[np.int64]]:
    """Disjoint row indices per part, ascending, together all rows, none of them (nearly) empty.

    Each label's rows are dealt in proportions drawn from Dirichlet(alpha) (Hsu et al. 2019);
    then the largest part gives to those below a fifth of the mean.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    owners = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        shares = np.cumsum(generator.dirichlet([alpha] * parts))[:-1]
        cuts = np.round(shares * len(rows)).astype(np.int64)
        for part, dealt in enumerate(np.split(rows, cuts)):
            owners[dealt] = part
    _even_out(owners, parts, max(2, len(labels) // (5 * parts)), generator)
    return [np.flatnonzero(owners == part) for part in range(parts)]


def partition_quantity(rows: int, parts: int, alpha: float, seed: int) -> list[NDArray[np.int64]]:
    """Disjoint row indices per part, ascending, together all `rows`; sizes as Dirichlet(alpha).

    Labels are mixed alike in all (Li et al. 2022); alpha infinite: equal sizes. No part has less
    than a fifth of the mean.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    equal = np.full(parts, 1 / parts)
    shares = equal if math.isinf(alpha) else generator.dirichlet([alpha] * parts)
    ends = np.round(np.cumsum(shares) * rows).astype(np.int64)
    owners = np.empty(rows, np.int64)
    owners[generator.permutation(rows)] = np.searchsorted(ends, np.arange(rows), side="right")
    np.minimum(owners, parts - 1, out=owners)
    _even_out(owners, parts, max(2, rows // (5 * parts)), generator)
    return [np.flatnonzero(owners == part) for part in range(parts)]


def shift_features(
    x: NDArray[np.float32], strength: float, seed: int | Sequence[int]
) -> NDArray[np.float32]:
    """The rows as another instrument would record them: contrast, brightness and noise of its own.

    `strength` 0 leaves them as they are; at 1 contrast is between a half and three halves of the
    original's and brightness moves by up to a half of the range. The range (least to greatest
    value) is kept.
    """
    if not 0 <= strength <= 1:
        raise InvalidData(f"strength {strength} is not in 0…1", strength=strength)
    generator = np.random.Generator(np.random.PCG64(seed))
    least, greatest = float(x.min(initial=0.0)), float(x.max(initial=0.0))
    span = greatest - least
    contrast = 1 + strength * generator.uniform(-0.5, 0.5)
    brightness = strength * span * generator.uniform(-0.5, 0.5)
    noise = strength * 0.1 * span * generator.standard_normal(x.shape)
    shifted = (x - least) * contrast + least + brightness + noise
    kept: NDArray[np.float32] = np.clip(shifted, least, greatest).astype(np.float32)
    return kept


def _even_out(
    owners: NDArray[np.int64], parts: int, least: int, generator: np.random.Generator
) -> None:
    if len(owners) < least * parts:
        raise InvalidData("too few rows for so many parts", rows=len(owners), parts=parts)
    sizes = np.bincount(owners, minlength=parts)
    for part in np.flatnonzero(sizes < least):
        while (lacking := least - np.count_nonzero(owners == part)) > 0:
            largest = np.bincount(owners, minlength=parts).argmax()
            rows = np.flatnonzero(owners == largest)
            given = generator.permutation(rows)[: min(lacking, len(rows) - least)]
            owners[given] = part
