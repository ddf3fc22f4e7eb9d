"""Runs a job per fault and phase, and compares each with an undisturbed one.

python -m tests.chaos --runs 100      # what `make chaos` does
python -m tests.chaos --seed 17       # that run alone
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
from dataclasses import dataclass
from pathlib import Path

import structlog

from commonweal.protocol.types import Phase
from tests.chaos.faults import FAULTS, PHASES, Fault
from tests.chaos.findings import Findings, find
from tests.chaos.network import chaos_network
from tests.postgres import PostgresServer

_END_SECONDS = 400


@dataclass(frozen=True)
class Plan:
    """What a seed says; without a fault, the undisturbed run."""

    seed: int
    fault: Fault | None
    round: int
    phase: Phase

    @property
    def name(self) -> str:
        if self.fault is None:
            return "undisturbed"
        return f"{self.fault.name}, {self.phase.name.lower()} of round {self.round}"


def make_plan(seed: int) -> Plan:
    """Consecutive seeds go through all faults, then phases, then rounds."""
    rest, fault = divmod(seed, len(FAULTS))
    rest, phase = divmod(rest + fault, len(PHASES))
    return Plan(seed, FAULTS[fault], 1 + rest % 2, PHASES[phase])


def play(plan: Plan, folder: Path, database_url: str, agents: int) -> Findings:
    with chaos_network(folder, database_url) as network:
        network.start(agents)
        if plan.fault is not None:
            network.wait_phase(plan.round, plan.phase)
            plan.fault.action(network, random.Random(plan.seed))
        network.wait(
            lambda: network.agents.reader.fetch_job(network.job, network.agents.head).state.is_over,
            _END_SECONDS,
            plan.name,
        )
        for agent in network.agents.agents:
            agent.kill()
        return find(network)


def run_all(plans: list[Plan], agents: int, keep: bool) -> int:
    """Exit status."""
    undisturbed = Plan(-1, None, 1, Phase.NONE)
    results: list[tuple[Plan, Findings | None]] = []
    with PostgresServer() as postgres:
        for number, plan in enumerate([undisturbed, *plans]):
            folder = Path(tempfile.mkdtemp(prefix="weal-chaos-"))
            started = time.monotonic()
            try:
                url = postgres.create_database(f"run{number}")
                found = play(plan, folder, url, agents)
            except AssertionError as error:
                print(f"{plan.name}: {error}", file=sys.stderr)
                found = None
            results.append((plan, found))
            print(_row(plan, found, results[0][1], time.monotonic() - started), flush=True)
            if keep or found is None:
                print(f"     left in {folder}", flush=True)
            else:
                shutil.rmtree(folder, ignore_errors=True)
    return report(results)


def report(results: list[tuple[Plan, Findings | None]]) -> int:
    reference = results[0][1]
    ended = [found for _, found in results[1:] if found is not None]
    summary = {
        "runs": len(results) - 1,
        "jobs_finished": sum(found.finished for found in ended),
        "model_cid_mismatches": sum(
            reference is None or found.model is None or found.model != reference.model
            for found in ended
        ),
        "wei_lost": sum(found.wei_lost for found in ended),
        "unjust_slashes": sum(found.slashes for found in ended),
        "duplicate_transactions": sum(found.duplicates for found in ended),
        "messages_lost": sum(found.lost for found in ended),
    }
    print(json.dumps(summary))
    is_good = summary.pop("runs") == summary.pop("jobs_finished") and not any(summary.values())
    return 0 if is_good else 1


def _row(plan: Plan, found: Findings | None, reference: Findings | None, seconds: float) -> str:
    start = f"{plan.seed:4}  {plan.name:48} {seconds:5.0f} s"
    if found is None:
        return f"{start}  FAILED"
    same = found.model is not None and reference is not None and found.model == reference.model
    return (
        f"{start}  finished {found.finished}, same model {same}, wei lost {found.wei_lost}, "
        f"slashes {found.slashes}, duplicates {found.duplicates}, lost {found.lost}"
    )


def main() -> int:
    """Exit status."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="seed of the first run")
    parser.add_argument("--seed", type=int, action="append", help="only this run; repeatable")
    parser.add_argument("--agents", type=int, default=7)
    parser.add_argument("--keep", action="store_true", help="keep every run's folder")
    options = parser.parse_args()
    seeds = options.seed or range(options.first, options.first + options.runs)
    return run_all([make_plan(seed) for seed in seeds], options.agents, options.keep)


if __name__ == "__main__":
    sys.exit(main())
