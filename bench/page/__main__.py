"""How soon the web page shows a history of 1,000 trainers × 500 rounds, and what it fetches for it.

python -m bench.page [--trainers 1000] [--rounds 500] [--runs 5] [--json]

A local chain and a coordinator run; the history is synthetic (see bench.page.synthetic). Chromium
loads each page with an empty cache; the time is the browser's own, from the request of the page
until everything on it is drawn. Needs a chromium on the PATH.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.page.browser import CHROMIUM, Load, measure_load, open_browser
from bench.page.synthetic import JOB, database_url, write_history
from commonweal.devnet.network import Network


def main() -> None:
    arguments = _parse()
    if CHROMIUM is None:
        sys.exit("there is no chromium on the PATH")
    with (
        tempfile.TemporaryDirectory(prefix="bench-page-") as folder,
        Network(Path(folder), plans=()) as network,
        open_browser() as browser,
    ):
        pages = start(network, arguments.trainers, arguments.rounds)
        loads = {
            name: [measure_load(browser, url, scroll=name == "job") for _ in range(arguments.runs)]
            for name, url in pages.items()
        }
    show(loads, as_json=arguments.json)


def start(network: Network, trainers: int, rounds: int) -> dict[str, str]:
    """The pages' addresses by name, once a coordinator serves the history."""
    network.start_chain()
    url = database_url(network.data_dir / "coordinator")
    head, deployment = network.reader.fetch_head(), network.reader.deployment
    write_history(url, deployment, head, trainers=trainers, rounds=rounds)
    network.start_programs()
    network.wait_until_ready()
    base = network.coordinator_url
    return {
        "network": f"{base}/#/",
        "job": f"{base}/#/jobs/{JOB}",
        "round": f"{base}/#/jobs/{JOB}/rounds/{rounds}",
        "providers": f"{base}/#/providers",
    }


def show(loads: dict[str, list[Load]], *, as_json: bool) -> None:
    rows = {name: _summarise(runs) for name, runs in loads.items()}
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table("page", "first load", "slowest", "on the wire", "requests", "frame, scrolling")
    for name, row in rows.items():
        frame = f"{row['frame_ms']:.0f} ms" if row["frame_ms"] else "–"
        table.add_row(
            name,
            f"{row['seconds']:.2f} s",
            f"{row['slowest']:.2f} s",
            f"{row['wire_bytes'] / 1000:,.0f} kB",
            f"{row['requests']:.0f}",
            frame,
        )
    Console().print(table)


def _summarise(runs: list[Load]) -> dict[str, float]:
    return {
        "seconds": statistics.median(run.seconds for run in runs),
        "slowest": max(run.seconds for run in runs),
        "wire_bytes": max(run.wire_bytes for run in runs),
        "requests": max(run.requests for run in runs),
        "frame_ms": statistics.median(run.median_frame_ms for run in runs if run.frames_ms)
        if runs[0].frames_ms
        else 0,
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trainers", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
