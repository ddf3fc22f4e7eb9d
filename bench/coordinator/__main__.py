"""A coordinator's indexer, on histories of jobs of few and of many trainers.

python -m bench.coordinator            a minute on two idle cores
python -m bench.coordinator --quick    small numbers, nothing is written: seconds

Seconds depend on what else the machine does, so its load is told with them; figures per second of
the processors hardly do.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.coordinator.indexing import Indexing, measure_indexing

RESULTS = Path(__file__).parents[1] / "results" / "coordinator.json"
_HISTORIES = ((8, 60_000), (100, 15_000))  # trainers, events
_QUICK_HISTORIES = ((8, 2_000),)


def main() -> int:
    options = _parse()
    histories = _QUICK_HISTORIES if options.quick else _HISTORIES
    result: dict[str, Any] = {"load": round(os.getloadavg()[0] / (os.cpu_count() or 1), 1)}
    result["indexing"] = []
    for trainers, events in histories:
        found = measure_indexing(trainers, events)
        result["indexing"].append(_round(found))
        if not options.json:
            print(_describe(found), flush=True)
    if options.json:
        print(json.dumps(result))
    if not options.quick and not options.dry:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object, nothing else")
    parser.add_argument("--quick", action="store_true", help="small numbers, nothing is written")
    parser.add_argument("--dry", action="store_true", help="write no results")
    return parser.parse_args()


def _round(found: Indexing) -> dict[str, float]:
    rates = {"events_per_s": found.events_per_s, "events_per_cpu_s": found.events_per_cpu_s}
    return {name: round(value, 2) for name, value in {**asdict(found), **rates}.items()}


def _describe(found: Indexing) -> str:
    return (
        f"indexer, rounds of {found.trainers} trainers: {found.events_per_s:,.0f} events a second "
        f"({found.events:,} in {found.seconds:.1f} s, {found.rows:,} rows), "
        f"{found.events_per_cpu_s:,.0f} per second of the processors"
    )


if __name__ == "__main__":
    sys.exit(main())
