"""What a round costs, from the receipts of a real Hardhat node: through the relay and directly.

python -m bench.gas --trainers 100 --committee 5 [--json]
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog
from rich.console import Console
from rich.table import Table

from bench.round_driver import Gas, build_network, direct_round, relay_round
from commonweal.adapters.local_chain import LocalChain

PROJECT = Path(__file__).parents[1]
RELAY_TARGET = 16_000  # gas per verified update
DIRECT_TARGET = 150_000  # gas per trainer and round
_STEADY_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Measured:
    """Steady figures are of rounds whose slots an earlier round has already filled."""

    trainers: int
    committee: int
    phases: Gas
    gas_per_round: int
    gas_per_verified_update: int
    first_round_gas_per_verified_update: int
    direct_phases: Gas
    direct_gas_per_trainer_round: int

    @property
    def is_within_targets(self) -> bool:
        relay_ok = self.gas_per_verified_update <= RELAY_TARGET
        return relay_ok and self.direct_gas_per_trainer_round <= DIRECT_TARGET


def measure(trainers: int, committee: int) -> Measured:
    """One first round and two steady ones by relay, one warming and one steady round directly."""
    with LocalChain(PROJECT) as chain:
        network = build_network(chain.rpc_url, trainers, committee, _STEADY_ROUNDS + 4)
        first = relay_round(network, 1)
        steady = [relay_round(network, 2 + i) for i in range(_STEADY_ROUNDS)]
        direct_round(network, _STEADY_ROUNDS + 2)
        direct = direct_round(network, _STEADY_ROUNDS + 3)
    phases = {phase: sum(gas[phase] for gas in steady) // len(steady) for phase in first}
    total = sum(phases.values())
    return Measured(
        trainers=trainers,
        committee=committee,
        phases=phases,
        gas_per_round=total,
        gas_per_verified_update=_divide(total, trainers),
        first_round_gas_per_verified_update=_divide(sum(first.values()), trainers),
        direct_phases=direct,
        direct_gas_per_trainer_round=_divide(sum(direct.values()), trainers),
    )


def _divide(gas: int, by: int) -> int:
    return -(-gas // by)


def print_table(measured: Measured) -> None:
    console = Console()
    title = f"Gas of a round, {measured.trainers} trainers, committee of {measured.committee}"
    table = Table(title=title)
    for column in ("path", "phase", "gas", "per trainer"):
        table.add_column(column, justify="left" if column in ("path", "phase") else "right")
    for path, gas in (("relay", measured.phases), ("direct", measured.direct_phases)):
        for phase, used in {**gas, "whole round": sum(gas.values())}.items():
            per_trainer = _divide(used, measured.trainers)
            table.add_row(path, phase.replace("_", " "), f"{used:,}", f"{per_trainer:,}")
        table.add_section()
    console.print(table)
    first = measured.first_round_gas_per_verified_update
    console.print(
        f"per verified update {measured.gas_per_verified_update:,} (target {RELAY_TARGET:,}; "
        f"a job's first round {first:,}), per trainer and direct round "
        f"{measured.direct_gas_per_trainer_round:,} (target {DIRECT_TARGET:,})"
    )


def main() -> int:
    """Exit status 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trainers", type=int, default=100)
    parser.add_argument("--committee", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one JSON object, nothing else")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    measured = measure(options.trainers, options.committee)
    if options.json:
        print(json.dumps(asdict(measured)))
    else:
        print_table(measured)
    return 0 if measured.is_within_targets else 1


if __name__ == "__main__":
    sys.exit(main())
