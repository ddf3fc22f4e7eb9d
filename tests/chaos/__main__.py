"""Runs a job per fault and phase, and compares each with an undisturbed one.

    python -m tests.chaos                 # what `make chaos` does; goes on where it stopped
    python -m tests.chaos --first 100     # another piece: as many runs from that seed on
    python -m tests.chaos --seed 17       # that run again, on a network of its own

Several runs, one after the other, share a network. After one that failed there is a new one.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from commonweal.devnet.processes import interruptible
from tests.chaos.chain import ROOT
from tests.chaos.findings import Findings, find
from tests.chaos.network import ChaosNetwork, chaos_network
from tests.chaos.runs import UNDISTURBED, Book, Plan, Run, is_good, make_plan
from tests.postgres import PostgresServer

RESULTS = ROOT / "bench" / "results" / "chaos.json"
_END_SECONDS = 400
_RUNS_OF_A_NETWORK = 10


def play(plan: Plan, network: ChaosNetwork) -> Findings:
    network.open_job()
    if plan.fault is not None:
        network.wait_phase(plan.round, plan.phase)
        plan.fault.action(network, random.Random(plan.seed))
    network.wait(network.is_job_over, _END_SECONDS, plan.name)
    found = find(network)
    network.set_right()
    return found


def run_all(seeds: Sequence[int], book: Book, agents: int, *, keep: bool) -> None:
    left = list(seeds)
    with PostgresServer() as postgres:
        while left:
            folder = Path(tempfile.mkdtemp(prefix="weal-chaos-"))
            url = postgres.create_database(f"network{len(left)}")
            part = left[:_RUNS_OF_A_NETWORK]
            done = run_some(part, book, folder, url, agents)
            left = left[done:]
            has_failed = any(book.runs[seed].found is None for seed in part[:done])
            if keep or has_failed:
                print(f"      left in {folder}", flush=True)
            else:
                shutil.rmtree(folder, ignore_errors=True)


def run_some(seeds: Sequence[int], book: Book, folder: Path, url: str, agents: int) -> int:
    """How many were made: none after the first that failed."""
    with chaos_network(folder, url) as network:
        network.start(agents)
        for done, seed in enumerate(seeds, 1):
            plan, started = make_plan(seed), time.monotonic()
            found, error = None, ""
            try:
                found = play(plan, network)
            except (AssertionError, RuntimeError) as failure:
                error = str(failure)
                (folder / "failure").write_text(error)
            run = Run(seed, plan.name, round(time.monotonic() - started, 1), found, error[:300])
            book.note(run)
            print(book.describe(run), flush=True)
            if found is None:
                return done
    return len(seeds)


def main() -> int:
    """Exit status."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    options = _parse()
    seeds = options.seed or list(range(options.first, options.first + options.runs))
    book = Book(None if options.seed else RESULTS)
    missing = [seed for seed in (UNDISTURBED, *seeds) if not book.has(seed)]
    with interruptible():  # or the processes would stay
        run_all(missing, book, options.agents, keep=options.keep)
    if not options.seed:
        print("\n".join(book.describe(book.runs[seed]) for seed in seeds))
    summary = book.summarise(seeds)
    print(json.dumps(summary))
    return 0 if is_good(summary) else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=140)
    parser.add_argument("--first", type=int, default=0, help="seed of the first run")
    parser.add_argument("--seed", type=int, action="append", help="only this run; repeatable")
    parser.add_argument("--agents", type=int, default=7)
    parser.add_argument("--keep", action="store_true", help="keep every network's folder")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
