"""The chance that colluders hold so many seats of a committee or jury that they decide.

Exact for a stake split into equal identities on either side: drawing by stake without replacement
is Wallenius' noncentral hypergeometric distribution. Checked against the protocol's own draw.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from commonweal.protocol.appeals import compute_jury_size
from commonweal.protocol.committee import draw_committee

VALIDATORS = 100  # identities of equal stake
COMMITTEES = (3, 5, 7, 9, 15)
SHARES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.33, 0.4, 0.45, 0.5, 0.6, 0.67)
TOLERANCES = (0.001, 0.01, 0.1, 0.5)


@dataclass(frozen=True, slots=True)
class Crowd:
    """Identities on either side; `odds`: a dishonest one's stake in that of an honest one."""

    dishonest: int
    honest: int
    odds: float = 1.0

    @property
    def share(self) -> float:
        weight = self.dishonest * self.odds
        return weight / (weight + self.honest)


def compute_seats(crowd: Crowd, seats: int) -> list[float]:
    """Chance of 0, 1, … `seats` dishonest members."""
    if crowd.dishonest == 0:
        return [1.0] + [0.0] * seats
    if crowd.odds == 1.0:
        drawn = stats.hypergeom(crowd.dishonest + crowd.honest, crowd.dishonest, seats)
    else:
        everybody = crowd.dishonest + crowd.honest
        drawn = stats.nchypergeom_wallenius(everybody, crowd.dishonest, seats, crowd.odds)
    return [float(chance) for chance in drawn.pmf(np.arange(seats + 1))]


def majority(seats: int) -> int:
    """Decides every verdict; a jury's decision too."""
    return seats // 2 + 1


def agreement(seats: int) -> int:
    """Makes any model final."""
    return 2 * seats // 3 + 1


def veto(seats: int) -> int:
    """Keeps every model from being final."""
    return seats - agreement(seats) + 1


POWERS = {"verdicts": majority, "model": agreement, "veto": veto}


def compute_power(crowd: Crowd, seats: int, needed: int) -> float:
    return float(sum(compute_seats(crowd, seats)[needed:]))


def compute_standing(crowd: Crowd, committee: int, juries: int) -> float:
    """That a wrong verdict is reached, and up to two juries, one after another, let it stand.

    Each is drawn from those who have not sat, without the accused; void if there are too few.
    """
    chances = compute_seats(crowd, committee)
    return sum(
        chances[held] * _uphold(_leave(crowd, held, committee - held + 1), committee, 1, juries)
        for held in range(majority(committee), committee + 1)
        if chances[held]
    )


def _uphold(crowd: Crowd, committee: int, level: int, juries: int) -> float:
    """By the jury of `level` and those after it, drawn from `crowd`."""
    size = compute_jury_size(committee, level)
    if level > juries or crowd.dishonest + crowd.honest < size:
        return 1.0
    chances = compute_seats(crowd, size)
    return sum(
        chances[held] * _uphold(_leave(crowd, held, size - held), committee, level + 1, juries)
        for held in range(majority(size), size + 1)
        if chances[held]
    )


def _leave(crowd: Crowd, dishonest: int, honest: int) -> Crowd:
    return Crowd(crowd.dishonest - dishonest, max(0, crowd.honest - honest), crowd.odds)


def find_break(seats: int, needed: int, tolerance: float) -> float:
    """The largest dishonest share at which the chance per round stays within `tolerance`."""
    below = [
        dishonest
        for dishonest in range(VALIDATORS + 1)
        if compute_power(Crowd(dishonest, VALIDATORS - dishonest), seats, needed) <= tolerance
    ]
    return max(below) / VALIDATORS


def simulate_seats(crowd: Crowd, seats: int, draws: int, seed: int) -> list[float]:
    """How often the protocol's own draw gives 0, 1, … seats to the dishonest."""
    random = np.random.default_rng(seed)
    unit = 1_000_000
    weights = [
        (member, round(unit * crowd.odds) if member < crowd.dishonest else unit)
        for member in range(crowd.dishonest + crowd.honest)
    ]
    held: Counter[int] = Counter()
    for _ in range(draws):
        jury = draw_committee(weights, seats, random.bytes(32))
        held[sum(member < crowd.dishonest for member in jury)] += 1
    return [held[count] / draws for count in range(seats + 1)]


def collect(shares: Sequence[float] = SHARES) -> list[dict[str, Any]]:
    """A row per share and committee size."""
    return [
        {
            "stake": share,
            "committee": size,
            **{name: compute_power(crowd, size, needed(size)) for name, needed in POWERS.items()},
            "first_jury": compute_power(crowd, 2 * size + 1, majority(2 * size + 1)),
            "second_jury": compute_power(crowd, 4 * size + 3, majority(4 * size + 3)),
            "stands_after_one_jury": compute_standing(crowd, size, 1),
            "stands_after_two_juries": compute_standing(crowd, size, 2),
        }
        for share in shares
        for size in COMMITTEES
        for crowd in [Crowd(round(share * VALIDATORS), VALIDATORS - round(share * VALIDATORS))]
    ]


def collect_breaks() -> list[dict[str, Any]]:
    return [
        {
            "committee": size,
            "guarantee": name,
            "tolerance": tolerance,
            "stake": find_break(size, needed(size), tolerance),
        }
        for size in COMMITTEES
        for name, needed in POWERS.items()
        for tolerance in TOLERANCES
    ]


def collect_checks(draws: int, seed: int) -> list[dict[str, Any]]:
    """Exact chances beside those of the real draw, identities equal and unequal."""
    return [
        {
            "dishonest": crowd.dishonest,
            "honest": crowd.honest,
            "odds": crowd.odds,
            "stake": round(crowd.share, 4),
            "committee": 5,
            "exact": [round(chance, 5) for chance in compute_seats(crowd, 5)],
            "drawn": simulate_seats(crowd, 5, draws, seed),
            "draws": draws,
        }
        for crowd in (Crowd(10, 20), Crowd(33, 67), Crowd(2, 18, 9.0), Crowd(40, 20, 0.25))
    ]
