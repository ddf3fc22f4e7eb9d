"""The board's committees against what stake demands: Pearson's chi-square on 8,000 real draws.

The seeds are fixed, so the outcome is too. A correct draw would miss the threshold for one choice
of seeds in a million; the wrong draws below miss it by far.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import permutations

import pytest
from contracts_stage import BOTH, FOREVER, Stage, Worker
from eth_utils.crypto import keccak
from scipy.stats import chi2
from solidity_harness import Harness

from commonweal.protocol import signing
from commonweal.protocol.types import Role

pytestmark = pytest.mark.integration

DRAWS = 8_000
SEATS = 3
FALSE_ALARM = 1e-6
LEAST_EXPECTED = 5  # per cell, the usual condition; rarer outcomes are counted as one
ETHER = 10**18
STAKES = (1, 2, 3, 5, 8, 13, 21, 34)  # ether, by member

Outcome = tuple[int, ...]


@pytest.fixture(scope="module")
def committees(stage: Stage) -> list[Outcome]:
    """Beside the validators: one member who only trains, and one who left."""
    job = stage.create_job(stage.account(), max_trainers=20, min_stake=ETHER)
    for stake in STAKES:
        stage.join(job, stage.worker(), stake=stake * ETHER)
    stage.join(job, stage.worker(), roles=Role.TRAINER)
    leaver = stage.worker(roles=BOTH)
    stage.join(job, leaver)
    _leave(stage, job, leaver)
    seeds = [keccak(text=f"draw {at}") for at in range(DRAWS)]
    board = stage.deployment["JobBoard"]
    return list(Harness(stage.rpc_url).draw_from(board, job, SEATS, seeds))


def test_committees_are_drawn_as_stake_demands(committees: list[Outcome]) -> None:
    assert compute_chance(committees, compute_odds(STAKES)) > FALSE_ALARM


@pytest.mark.parametrize("seat", range(SEATS))
def test_every_seat_is(committees: list[Outcome], seat: int) -> None:
    odds: Counter[Outcome] = Counter()
    for outcome, chance in compute_odds(STAKES).items():
        odds[outcome[seat : seat + 1]] += chance  # type: ignore[assignment]
    members = [outcome[seat : seat + 1] for outcome in committees]
    assert compute_chance(members, odds) > FALSE_ALARM


@pytest.mark.parametrize(
    "stakes",
    [
        pytest.param((1,) * len(STAKES), id="everybody alike"),
        pytest.param((1, 2, 3, 5, 8, 13, 21, 44), id="the largest weighs a third more"),
        pytest.param((1, 2, 3, 5, 8, 13, 34, 21), id="two members exchanged"),
    ],
)
def test_another_rule_would_be_found_out(
    committees: list[Outcome], stakes: tuple[int, ...]
) -> None:
    assert compute_chance(committees, compute_odds(stakes)) < FALSE_ALARM


def compute_odds(stakes: tuple[int, ...]) -> dict[Outcome, float]:
    """Exactly, of every committee in its order: drawn one by one, without replacement."""
    odds = {}
    for outcome in permutations(range(len(stakes)), SEATS):
        chance, left = 1.0, sum(stakes)
        for member in outcome:
            chance *= stakes[member] / left
            left -= stakes[member]
        odds[outcome] = chance
    return odds


def compute_chance(outcomes: list[Outcome], odds: Mapping[Outcome, float]) -> float:
    """How often a draw by these odds would fit no better than `outcomes` do (the p-value)."""
    seen, rest = Counter(outcomes), len(outcomes)
    assert seen.keys() <= odds.keys()
    cells: list[tuple[int, float]] = []
    rare = 0.0
    for outcome, chance in odds.items():
        expected = chance * len(outcomes)
        if expected < LEAST_EXPECTED:
            rare += expected
        else:
            cells.append((seen[outcome], expected))
            rest -= seen[outcome]
    if rare:
        cells.append((rest, rare))
    statistic = sum((count - expected) ** 2 / expected for count, expected in cells)
    return float(chi2.sf(statistic, len(cells) - 1))


def _leave(stage: Stage, job: int, worker: Worker) -> None:
    domain = stage.deployment.board_domain
    digest = signing.hash_job_leave(domain, job, worker.provider, 1, FOREVER)
    details = (job, worker.provider, FOREVER, worker.sign(digest))
    stage.send(stage.relay, "JobBoard", "leaveJob", *details)
