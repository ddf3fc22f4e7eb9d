"""A coordinator under the load of 1,000 agents, and its indexer alone, both on PostgreSQL.

python -m bench.coordinator            some ten minutes on two idle cores, most of them enrolling
python -m bench.coordinator --quick    small numbers, nothing is written: half a minute

Seconds depend on what else the machine does, so its load is told with them; figures per second of
the processors hardly do. Agents, chain and database share the machine with the coordinator.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from bench.coordinator.indexing import Indexing, measure_indexing
from bench.coordinator.load import Load, measure_load

RESULTS = Path(__file__).parents[1] / "results" / "coordinator.json"
_HISTORIES = ((8, 60_000), (100, 15_000))  # trainers, events
_QUICK_HISTORIES = ((8, 2_000),)
_AGENTS, _SPREAD_SECONDS = 1_000, 30.0
_PERCENTILES = ("p50_ms", "p95_ms", "p99_ms", "max_ms")
_QUICK_AGENTS, _QUICK_SPREAD_SECONDS = 20, 2.0


def main() -> int:
    options = _parse()
    level = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(
        wrapper_class=level, logger_factory=structlog.PrintLoggerFactory(sys.stderr)
    )
    results: dict[str, Any] = {"load": round(os.getloadavg()[0] / (os.cpu_count() or 1), 1)}
    results["indexing"] = [_index(*history, options) for history in _choose_histories(options)]
    if options.agents:
        results["agents"] = _crowd(options)
    if options.json:
        print(json.dumps(results))
    if not options.quick and not options.dry:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object, nothing else")
    parser.add_argument("--quick", action="store_true", help="small numbers, nothing is written")
    parser.add_argument("--dry", action="store_true", help="write no results")
    parser.add_argument("--agents", type=int, help="1,000; with 0, the indexer only")
    options = parser.parse_args()
    if options.agents is None:
        options.agents = _QUICK_AGENTS if options.quick else _AGENTS
    return options


def _choose_histories(options: argparse.Namespace) -> tuple[tuple[int, int], ...]:
    return _QUICK_HISTORIES if options.quick else _HISTORIES


def _index(trainers: int, events: int, options: argparse.Namespace) -> dict[str, Any]:
    found = measure_indexing(trainers, events)
    if not options.json:
        print(_describe_indexing(found), flush=True)
    rates = {"events_per_s": found.events_per_s, "events_per_cpu_s": found.events_per_cpu_s}
    return {name: round(value, 2) for name, value in {**asdict(found), **rates}.items()}


def _crowd(options: argparse.Namespace) -> dict[str, Any]:
    spread = _QUICK_SPREAD_SECONDS if options.quick else _SPREAD_SECONDS
    found = measure_load(options.agents, spread)
    if not options.json:
        print("\n".join(_describe_load(found)), flush=True)
    return {
        name: round(value, 1) if isinstance(value, float) else value
        for name, value in asdict(found).items()
    }


def _describe_indexing(found: Indexing) -> str:
    return (
        f"indexer, rounds of {found.trainers} trainers: {found.events_per_s:,.0f} events a second "
        f"({found.events:,} in {found.seconds:.1f} s, {found.rows:,} rows), "
        f"{found.events_per_cpu_s:,.0f} per second of the processors"
    )


def _describe_load(found: Load) -> Iterator[str]:
    yield f"{found.agents:,} agents in a job"
    for kind, figures in found.requests.items():
        times = ", ".join(f"{name[:-3]} {figures[name]:,.0f} ms" for name in _PERCENTILES)
        yield f"  {kind}: {figures['count']:,} requests, failed {figures['errors'] or 0}; {times}"
    yield (
        f"  {found.messages_per_s:,.0f} messages a second accepted when all come at once; the last "
        f"of the first {found.agents:,} on chain {found.mined_after_s:.1f} s after it came; "
        f"{found.memory_mb:,.0f} MB at most; {found.coordinator_cpu_s:.1f} s of the processors"
    )


if __name__ == "__main__":
    sys.exit(main())
