"""What a run of the lab is measured against, and by which of its figures it falls short."""

from __future__ import annotations

from typing import Any, NamedTuple

Row = dict[str, Any]

_DROP, _DROP_WHERE_UNLIKE = 0.02, 0.04  # below the run in which all twenty are honest
_ALIKE = 0.5  # alpha of Dirichlet's distribution, from which on data are alike
_DROP_IN_THE_MINORITY = 0.05  # where more than half of the trainers attack
_DROP_MORE_WITH_LIARS = 0.01
_BACKDOOR = 0.05  # of the marked pictures
_HONEST_PAY = 0.98
_LOWEST_PAY = 0.3  # of the median honest trainer's
_ROUNDING = 1e-9


class Misses(NamedTuple):
    """Of one run, each 0 or 1; or counts of runs."""

    accuracy: int
    backdoor: int
    honest_pay: int
    lowest_pay: int
    profit: int


def find_misses(row: Row) -> Misses:
    """Which targets one run misses."""
    return Misses(
        accuracy=row["clean_accuracy"] - row["accuracy"] > _allowed_drop(row) + _ROUNDING,
        backdoor=row["attack"] == "backdoor" and row["backdoor_success"] > _BACKDOOR,
        honest_pay=row["honest_pay_share"] < _HONEST_PAY,
        lowest_pay=row["lowest_over_median_honest_pay"] < _LOWEST_PAY,
        profit=row["best_attacker_profit"] >= 0,
    )


def _allowed_drop(row: Row) -> float:
    drop = _DROP if row["alpha"] >= _ALIKE else _DROP_WHERE_UNLIKE
    if row["attackers"] > 0.5:
        drop = _DROP_IN_THE_MINORITY
    return drop + (_DROP_MORE_WITH_LIARS if row["lying_validators"] else 0.0)
