"""A whole round of eight trainers: ours as real processes with everything on chain, and Flower's.

python -m bench.round            half an hour on two idle cores: three turns, 10 M, growth to 64
python -m bench.round --quick    ours only, a few rounds: one or two minutes

In each turn ours, Flower's simulation and Flower's deployment run one after the other, so that what
else the machine does meets all of them. Quote ratios within a turn, not seconds.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import structlog

from bench.peers import ensure_peers
from bench.round.flower import run_deployment, run_simulation
from bench.round.ours import run_ours, summarise
from bench.round.rows import Row, compute_ratios, describe, write_results
from bench.round.task import HIDDEN, Task
from commonweal.adapters.local_chain import read_block_interval
from commonweal.devnet.network import find_checkout
from commonweal.protocol.specs import BlockEncoding

SMALL, LARGE = 100_000, 10_000_000
_AGENT_BYTES = 300 * 2**20  # of one agent with torch, before any model
_COPIES = 12  # of a model that an agent holds at most, float32


def main() -> int:
    options = _parse()
    level = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(
        wrapper_class=level, logger_factory=structlog.PrintLoggerFactory(sys.stderr)
    )
    rows: list[Row] = []
    for row in _measure(options):
        rows.append(row)
        print(json.dumps(asdict(row)) if options.json else describe(row), flush=True)
    if not options.quick and not options.dry:
        write_results(rows)
    if not options.json:
        for name, ratio in compute_ratios([row for row in rows if row.params < LARGE / 2]).items():
            print(f"{name} at 100 k parameters: {ratio:.3f}")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON row per line")
    parser.add_argument("--quick", action="store_true", help="ours only, nothing is written")
    parser.add_argument("--dry", action="store_true", help="write no results")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=10, help="of ours, that count")
    parser.add_argument("--deployment-rounds", type=int, default=2, help="that count")
    parser.add_argument("--growth", default="16,32,64", help="trainers, or nothing")
    parser.add_argument("--large-turns", type=int, default=1, help="with 10 M parameters")
    return parser.parse_args()


def _measure(options: argparse.Namespace) -> Iterator[Row]:
    small = Task(8, HIDDEN[SMALL])
    if options.quick:
        yield _measure_ours(Task(4, (32,)), run=1, rounds=3, warm_up=1)
        return
    for turn in range(1, options.turns + 1):
        yield _measure_all(small, turn, options, simulated=20)
    for turn in range(1, options.large_turns + 1):
        large = Task(8, HIDDEN[LARGE], encoding=BlockEncoding(kind="int8"))
        yield _measure_all(large, turn, _with_rounds(options, 3), simulated=5)
    for trainers in [int(part) for part in options.growth.split(",") if part]:
        task = replace(small, trainers=trainers)
        yield _measure_ours(task, run=1, rounds=max(3, options.rounds // 2), warm_up=2)


def _with_rounds(options: argparse.Namespace, rounds: int) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(options), "rounds": rounds, "deployment_rounds": 1})


def _measure_all(task: Task, turn: int, options: argparse.Namespace, *, simulated: int) -> Row:
    row = _measure_ours(task, run=turn, rounds=options.rounds, warm_up=3)
    python = ensure_peers("round")
    simulation = run_simulation(python, task, warm_up=3, rounds=simulated)
    deployment = run_deployment(python, task, warm_up=1, rounds=options.deployment_rounds)
    return replace(
        row,
        flower_simulation_s=statistics.median(simulation),
        flower_deployment_s=statistics.median(deployment),
    )


def _measure_ours(task: Task, *, run: int, rounds: int, warm_up: int) -> Row:
    row = Row(
        run=run,
        params=task.parameters,
        trainers=task.trainers,
        committee=task.committee,
        encoding=task.encoding.kind,
        load=round(os.getloadavg()[0] / (os.cpu_count() or 1), 1),
        block_ms=read_block_interval(find_checkout()),
        ours_s=None,
        phases={},
        flower_deployment_s=None,
        flower_simulation_s=None,
    )
    need = task.trainers * (_AGENT_BYTES + _COPIES * 4 * task.parameters)
    have = _read_available()
    if need > have:
        gib = 2**30
        return replace(row, skipped=f"needs {need / gib:.1f} GiB, {have / gib:.1f} are free")
    seconds, phases = summarise(run_ours(task, warm_up=warm_up, rounds=rounds))
    rounded = {name: round(value, 4) for name, value in phases.items()}
    return replace(row, ours_s=round(seconds, 4), phases=rounded)


def _read_available() -> int:
    """Bytes that programs can have, what the kernel caches included. Linux only."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))


if __name__ == "__main__":
    sys.exit(main())
