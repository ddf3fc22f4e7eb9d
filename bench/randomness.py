"""What somebody gains who can try several seeds for one committee: for docs/randomness.md.

python -m bench.randomness [--json]

A seat goes to the attacker with the chance of its part of the stake; seats are taken as
independent, which many small validators come close to. `tries`: seeds to choose from. A proposer
can publish its block or withhold it, so the last k proposers before the seed have 2^k.
"""

from __future__ import annotations

import argparse
import json
import math
import sys

from rich.console import Console
from rich.table import Table

STAKES = (0.05, 0.1, 0.2, 0.33)  # the attacker's part of the job's validating stake
COMMITTEES = (3, 5, 9, 15)
TRIES = (1, 2, 4, 16)
SLOT = 12  # seconds


def compute_capture(stake: float, committee: int, seats: int, tries: int = 1) -> float:
    """The chance of at least `seats` of a committee, the best of `tries` draws."""
    once = sum(
        math.comb(committee, k) * stake**k * (1 - stake) ** (committee - k)
        for k in range(seats, committee + 1)
    )
    return -math.expm1(tries * math.log1p(-once)) if once < 1 else 1.0


def majority(committee: int) -> int:
    """Seats that decide every score."""
    return committee // 2 + 1


def agreement(committee: int) -> int:
    """Seats whose attestation makes any model final."""
    return 2 * committee // 3 + 1


def compute_slot_chance(proposers: float, window: int) -> float:
    """The chance that at least one slot of `window` seconds is the attacker's to build."""
    return 1 - (1 - proposers) ** (window // SLOT)


def compute_break_even(stake: float, committee: int) -> float:
    """Price of a round, in block rewards, from which dropping a bad block pays: one try more."""
    seats = majority(committee)
    once, twice = (compute_capture(stake, committee, seats, tries) for tries in (1, 2))
    return 1 / (twice - once)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object, nothing else")
    if parser.parse_args().json:
        print(json.dumps(collect()))
        return 0
    for title, seats in (("a majority", majority), ("more than two thirds", agreement)):
        table = Table("stake", "seats", title=f"Chance of {title} of the committee, by tries")
        for tries in TRIES:
            table.add_column(f"{tries:,}", justify="right")
        for stake in STAKES:
            for size in COMMITTEES:
                chances = [compute_capture(stake, size, seats(size), tries) for tries in TRIES]
                table.add_row(f"{stake:.0%}", str(size), *(f"{chance:.2g}" for chance in chances))
            table.add_section()
        Console().print(table)
    Console().print(_break_even_table())
    return 0


def _break_even_table() -> Table:
    table = Table("stake", title="Round price from which withholding pays, in block rewards")
    for size in COMMITTEES:
        table.add_column(f"{size} seats", justify="right")
    for stake in STAKES:
        prices = [compute_break_even(stake, size) for size in COMMITTEES]
        table.add_row(f"{stake:.0%}", *(f"{price:,.0f}" for price in prices))
    return table


def collect() -> list[dict[str, float]]:
    return [
        {
            "stake": stake,
            "committee": size,
            "tries": tries,
            "majority": compute_capture(stake, size, majority(size), tries),
            "agreement": compute_capture(stake, size, agreement(size), tries),
        }
        for stake in STAKES
        for size in COMMITTEES
        for tries in TRIES
    ]


if __name__ == "__main__":
    sys.exit(main())
