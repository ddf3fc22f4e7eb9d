"""What each rule makes of a round, decided on inner products alone: n × n numbers, no model.

Krum, the geometric median, centred clipping and nearest-neighbour mixing give combinations of the
updates, so their coefficients follow from the updates' inner products. All sums are `math.fsum`,
which is exact up to one rounding: the order of terms does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from commonweal.learning.aggregation.blocks import Mixture
from commonweal.protocol.specs import AggregationSpec
from commonweal.protocol.types import BPS, Address

Matrix = Sequence[Sequence[float]]  # symmetric
Terms = tuple[tuple[int, float], ...]

_SMOOTHING = 1e-6  # of the median distance: what is nearer weighs no more than this
# By these the result is the median or a mean per coordinate; by the others, one combination.
_PER_COORDINATE = ("median", "trimmed-mean")
_BY_DISTANCE = ("krum", "multi-krum", "geometric-median", "centred-clipping")


@dataclass(frozen=True, slots=True)
class Plan:
    """How the step comes from the updates: per coordinate from a mixture, or one combination."""

    rows: Mixture | None = None
    cut: int = 0
    combination: Terms = ()

    @property
    def shares(self) -> list[float]:
        return [share for _, share in self.combination]


def needs_products(spec: AggregationSpec) -> bool:
    return spec.rule in _BY_DISTANCE or spec.mix_neighbours


def plan(
    spec: AggregationSpec,
    trainers: Sequence[Address],
    scores: Sequence[int],
    scales: Sequence[float],
    products: Matrix | None,
    seed: bytes,
) -> Plan:
    """`products`: of the updates unscaled, where `needs_products`. Trainers ascending."""
    buckets = _fill_buckets(spec, trainers, seed)
    rows = [_bucket_terms(spec, bucket, scores, scales) for bucket in buckets]
    sums = [sum(scores[at] for at in bucket) for bucket in buckets]
    mixed: Matrix | None = None
    if products is not None:
        mixed = _mix_products(rows, products)
        if spec.mix_neighbours:
            near = _nearest(mixed, len(rows) - _assumed(spec, len(rows)))
            rows = [_combine(rows, terms) for terms in near]
            mixed = _mix_products(near, mixed)
    if spec.rule in _PER_COORDINATE:
        return Plan(rows=Mixture(tuple(rows)), cut=_cut(spec, len(rows)))
    weights = _weigh(spec, sums, mixed)
    return Plan(combination=_combine(rows, _as_terms(weights)))


def shuffle(trainers: Sequence[Address], seed: bytes) -> list[int]:
    """Places of the trainers, ordered by sha256(seed ‖ address): nobody can choose its place."""
    return sorted(
        range(len(trainers)),
        key=lambda at: sha256(seed + bytes.fromhex(trainers[at][2:])).digest(),
    )


def _fill_buckets(
    spec: AggregationSpec, trainers: Sequence[Address], seed: bytes
) -> list[tuple[int, ...]]:
    """Bucketing (Karimireddy, He, Jaggi 2022): the last bucket may hold fewer."""
    if spec.bucket_size == 1:
        return [(at,) for at in range(len(trainers))]
    order, size = shuffle(trainers, seed), spec.bucket_size
    return [tuple(sorted(order[at : at + size])) for at in range(0, len(order), size)]


def _bucket_terms(
    spec: AggregationSpec,
    bucket: Sequence[int],
    scores: Sequence[int],
    scales: Sequence[float],
) -> Terms:
    """The bucket's mean, by score where the rule goes by scores."""
    weights = [scores[at] if spec.rule == "weighted-mean" else 1 for at in bucket]
    total = sum(weights)
    return tuple(
        (at, weight / total * scales[at]) for at, weight in zip(bucket, weights, strict=True)
    )


def _weigh(spec: AggregationSpec, sums: Sequence[int], products: Matrix | None) -> list[float]:
    """A coefficient per row."""
    count = len(sums)
    if products is None or spec.rule in ("mean", "weighted-mean"):
        weights = sums if spec.rule == "weighted-mean" else [1] * count
        return [weight / sum(weights) for weight in weights]
    if spec.rule == "geometric-median":
        return _geometric_median(products, spec.iterations)
    if spec.rule == "centred-clipping":
        return _centred_clipping(products, spec.iterations, spec.clip_radius)
    kept = 1 if spec.rule == "krum" else count - _assumed(spec, count)
    return _mean_of(_krum_order(products, _assumed(spec, count))[:kept], count)


def _assumed(spec: AggregationSpec, count: int) -> int:
    """How many of `count` rows are taken to be an attacker's: fewer than half."""
    return min(count * spec.byzantine_bps // BPS, (count - 1) // 2)


def _cut(spec: AggregationSpec, count: int) -> int:
    most = (count - 1) // 2
    return most if spec.rule == "median" else min(most, count * spec.trim_bps // BPS)


def _krum_order(products: Matrix, attackers: int) -> list[int]:
    """Rows by the sum of squared distances to the n − f − 2 nearest others, least first.

    Blanchard et al. 2017. Equal sums: the earlier row, so the lower address, comes first.
    """
    near = max(1, len(products) - attackers - 2)
    sums = []
    for at, row in enumerate(_squared_distances(products)):
        others = sorted(distance for other, distance in enumerate(row) if other != at)
        sums.append(math.fsum(others[:near]))
    return sorted(range(len(products)), key=lambda at: (sums[at], at))


def _nearest(products: Matrix, count: int) -> list[Terms]:
    """Nearest-neighbour mixing (Allouah et al. 2023): each becomes the mean of its nearest."""
    mixed = []
    for at, row in enumerate(_squared_distances(products)):
        order = sorted(range(len(row)), key=lambda other: (row[other], other != at, other))
        mixed.append(_as_terms(_mean_of(order[:count], len(row))))
    return mixed


def _geometric_median(products: Matrix, iterations: int) -> list[float]:
    """Smoothed Weiszfeld steps (Pillutla, Kakade, Harchaoui 2022), as coefficients of the rows.

    They start at the mean of the half that lies most central: no minority, however far away, moves
    the start, and it is no row itself, where a step would stay.
    """
    count = len(products)
    spread = [math.fsum(map(math.sqrt, row)) for row in _squared_distances(products)]
    central = sorted(range(count), key=lambda at: (spread[at], at))
    centre = _mean_of(central[: count // 2 + 1], count)
    for _ in range(iterations):
        distances = _distances_to(products, centre)
        floor = _SMOOTHING * _lower_median(distances)
        if floor == 0:  # more than half of them lie where the centre is
            return centre
        weights = [1.0 / max(distance, floor) for distance in distances]
        total = math.fsum(weights)
        centre = [weight / total for weight in weights]
    return centre


def _centred_clipping(products: Matrix, iterations: int, radius: float | None) -> list[float]:
    """v += mean of (row − v) clipped to `radius`, from v = 0 (Karimireddy, He, Jaggi 2021).

    Without a radius: the lower median of the distances to v, so that half are never cut.
    """
    count = len(products)
    centre = [0.0] * count
    for _ in range(iterations):
        distances = _distances_to(products, centre)
        limit = _lower_median(distances) if radius is None else radius
        shares = [limit / d / count if d > limit else 1.0 / count for d in distances]
        kept = 1.0 - math.fsum(shares)
        centre = [kept * old + share for old, share in zip(centre, shares, strict=True)]
    return centre


def _distances_to(products: Matrix, centre: Sequence[float]) -> list[float]:
    """Of every row to Σ centre · row."""
    along = [_dot(row, centre) for row in products]
    square = _dot(along, centre)
    return [
        math.sqrt(max(0.0, products[at][at] - 2.0 * along[at] + square))
        for at in range(len(products))
    ]


def _squared_distances(products: Matrix) -> list[list[float]]:
    size = [products[at][at] for at in range(len(products))]
    return [
        [max(0.0, size[i] + size[j] - 2.0 * product) for j, product in enumerate(row)]
        for i, row in enumerate(products)
    ]


def _mix_products(rows: Sequence[Terms], products: Matrix) -> list[list[float]]:
    """Inner products of the combined rows, from those of what they are made of."""
    half = [
        [
            math.fsum(share * products[at][other] for at, share in terms)
            for other in range(len(products))
        ]
        for terms in rows
    ]
    mixed = [[0.0] * len(rows) for _ in rows]
    for i in range(len(rows)):
        for j in range(i + 1):  # half of it, so that it is symmetric to the bit
            mixed[i][j] = math.fsum(share * half[i][at] for at, share in rows[j])
            mixed[j][i] = mixed[i][j]
    return mixed


def _combine(rows: Sequence[Terms], weights: Terms) -> Terms:
    """Σ weight · row, as terms of what the rows are made of, ascending; without zeros."""
    parts: dict[int, list[float]] = {}
    for row, weight in weights:
        for at, share in rows[row]:
            parts.setdefault(at, []).append(weight * share)
    return tuple((at, math.fsum(parts[at])) for at in sorted(parts))


def _as_terms(weights: Sequence[float]) -> Terms:
    return tuple((at, weight) for at, weight in enumerate(weights) if weight != 0)


def _mean_of(chosen: Sequence[int], count: int) -> list[float]:
    among = set(chosen)
    return [1.0 / len(among) if at in among else 0.0 for at in range(count)]


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    return math.fsum(a * b for a, b in zip(left, right, strict=True))


def _lower_median(values: Sequence[float]) -> float:
    return sorted(values)[(len(values) - 1) // 2]
