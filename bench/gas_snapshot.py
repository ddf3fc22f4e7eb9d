"""The gas of every call, kept in bench/results/gas.json and compared with what it is now.

python -m bench.gas_snapshot            prints what changed
python -m bench.gas_snapshot --write    renews the file (`make gas`)
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import structlog

from bench.gas import DIRECT_TARGET, PROJECT, RELAY_TARGET, measure
from bench.gas_calls import measure_calls
from bench.round_driver import Gas
from commonweal.adapters.local_chain import LocalChain

SNAPSHOT = Path(__file__).parent / "results" / "gas.json"
# Block hashes and times differ from run to run: other committees, other zero bytes.
TOLERANCE = 0.005
DRAW_TOLERANCE = 0.04  # committee members who share words of the sum tree cost less to draw
DRAWN = "relay: reveal_and_draw"
PER_UPDATE = "relay: per verified update"
PER_TRAINER = "direct: per trainer and round"
LIMITS = {
    PER_UPDATE: RELAY_TARGET,
    PER_TRAINER: DIRECT_TARGET,
    "register with stake": 150_000,
    "claim, owner holds tokens": 60_000,
    # The token's own new balance slot, 17,100, comes on top: the limit is for what is ours.
    "claim, owner holds no token": 60_000 + 17_100,
}


def measure_all() -> Gas:
    """100 trainers and a committee of five, by relay and directly; then single calls."""
    rounds = measure(trainers=100, committee=5)
    with LocalChain(PROJECT) as chain:
        calls = measure_calls(chain)
    return {
        **{f"relay: {phase}": gas for phase, gas in rounds.phases.items()},
        PER_UPDATE: rounds.gas_per_verified_update,
        **{f"direct: {phase}": gas for phase, gas in rounds.direct_phases.items()},
        PER_TRAINER: rounds.direct_gas_per_trainer_round,
        **calls,
    }


def load_snapshot() -> Gas:
    snapshot: Gas = json.loads(SNAPSHOT.read_text())
    return snapshot


def find_changes(kept: Gas, now: Gas) -> Iterator[str]:
    """A line for each that differs by more than the tolerance, is new, or is gone."""
    for name in sorted(kept.keys() | now.keys()):
        before, after = kept.get(name, 0), now.get(name, 0)
        tolerance = DRAW_TOLERANCE if name == DRAWN else TOLERANCE
        if abs(after - before) > tolerance * before:
            yield f"{name}: {before:,} -> {after:,}"


def find_excesses(gas: Gas) -> Iterator[str]:
    for name, limit in LIMITS.items():
        if gas[name] > limit:
            yield f"{name}: {gas[name]:,} is above {limit:,}"


def main() -> int:
    """Exit status 1 if a limit is missed or, without --write, anything changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="renew the file")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    now = measure_all()
    changes = list(find_changes(load_snapshot() if SNAPSHOT.is_file() else {}, now))
    excesses = list(find_excesses(now))
    print("\n".join([*changes, *excesses]) or "nothing changed")
    if options.write:
        SNAPSHOT.parent.mkdir(exist_ok=True)
        SNAPSHOT.write_text(json.dumps(now, indent=2) + "\n")
    return 1 if excesses or (changes and not options.write) else 0


if __name__ == "__main__":
    sys.exit(main())
