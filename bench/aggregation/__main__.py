"""python -m bench.aggregation [--json] [--quick] [--counts …] [--params …] [--rules …]

Every rule against flwr and byzfl, from files that are mapped, all in one run: reading alone, ours
and the peers take turns, and each one's best time counts. The peers are installed from PyPI when
first needed. In full about an hour and 12 GB of disk; --quick, two minutes and no thresholds;
--memory-only, how much memory the greatest case takes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.aggregation.inputs import (
    Inputs,
    Timing,
    is_short,
    make_inputs,
    map_updates,
    measure_reading,
)
from bench.aggregation.memory import measure_memory
from bench.aggregation.ours import ATTACKERS, RULES, THREADS, agrees, is_exact, run, zeros
from bench.aggregation.report import Row, is_within_targets, print_table, write_results
from bench.aggregation.rivals import (
    PEERS,
    Peer,
    has_rule,
    normalise,
    start_peer,
    why_not,
)
from bench.peers import ensure_peers
from commonweal.learning.aggregation import ScoredUpdate
from commonweal.learning.weights import Weights

RESULTS = Path(__file__).parents[1] / "results"
_MEMORY_RULES = ("weighted-mean", "trimmed-mean", "multi-krum")


@dataclass(slots=True)
class Bench:
    """`known`: what the peers reached so far, by which it is judged what they can reach in time."""

    python: Path
    rules: Sequence[str]
    repeats: int
    most_seconds: float
    known: dict[tuple[str, str], float] = field(default_factory=dict)

    def run_case(self, inputs: Inputs) -> Iterator[Row]:
        updates = map_updates(inputs)
        scores = [update.score for update in updates]
        parent = zeros(updates)
        with start_peer(self.python, inputs, scores) as peer:
            for rule in self.rules:
                yield from self._run_rule(rule, inputs, updates, parent, peer)

    def _run_rule(
        self,
        rule: str,
        inputs: Inputs,
        updates: list[ScoredUpdate],
        parent: Weights,
        peer: Peer,
    ) -> Iterator[Row]:
        """A row per peer that has the rule, or one without a peer. All take turns."""
        attackers = int(ATTACKERS * len(updates))
        rivals = [name for name in PEERS if has_rule(name, rule)]
        reasons = {
            name: why_not(
                name, rule, inputs, attackers, self.known.get((name, rule)), self.most_seconds
            )
            for name in rivals
        }
        reading: list[Timing] = []
        ours: list[Timing] = []
        theirs: dict[str, list[Timing]] = {name: [] for name in rivals}
        samples: dict[str, list[float]] = {}
        while len(ours) < self.repeats or is_short(ours):
            reading.append(measure_reading(updates, THREADS))
            timing, model = run(rule, parent, updates)
            ours.append(timing)
            for name in rivals:
                if not reasons[name] and sum(t.seconds for t in theirs[name]) < self.most_seconds:
                    timing, samples[name] = peer.run(name, rule, attackers)
                    theirs[name].append(timing)
        row = {
            "rule": rule,
            "n": len(updates),
            "params": inputs.params,
            **_speeds("ours", ours, inputs),
            **_speeds("read", reading, inputs),
            "exact": is_exact(rule, parent, updates, model),
            "threads": THREADS,
        }
        for name in rivals:
            found = theirs[name]
            if found:
                gbps = inputs.bytes / 1e9 / min(timing.seconds for timing in found)
                self.known[name, rule] = normalise(rule, gbps, len(updates))
            yield row | {
                "peer": name,
                **_speeds("peer", found, inputs),
                "agrees": agrees(model, samples[name]) if name in samples else None,
                "skipped": reasons[name],
            }
        if not rivals:
            without = {"peer": None, "agrees": None, "skipped": "no peer has it"}
            yield row | without | _speeds("peer", [], inputs)


def _speeds(whose: str, timings: Sequence[Timing], inputs: Inputs) -> dict[str, float | None]:
    """GB/s by the clock, and GB per second of processor time; the best of each."""
    size = inputs.bytes / 1e9
    return {
        f"{whose}_gbps": round(size / min(t.seconds for t in timings), 4) if timings else None,
        f"{whose}_gb_per_cpu_s": round(size / min(t.cpu for t in timings), 4) if timings else None,
    }


def measure(options: argparse.Namespace, folder: Path) -> tuple[list[Row], list[Row]]:
    bench = Bench(ensure_peers("aggregation"), options.rules, options.repeats, options.peer_seconds)
    rows: list[Row] = []
    memory: list[Row] = []
    if options.memory_only:
        make_inputs(folder, max(options.counts), max(options.params))
        return rows, [measure_memory(folder, rule) for rule in _MEMORY_RULES]
    cases = sorted(
        (count * size, count, size) for count in options.counts for size in options.params
    )
    for at, (_, count, params) in enumerate(cases):
        work = folder / f"{count}-{params}"
        inputs = make_inputs(work, count, params)
        for row in bench.run_case(inputs):
            rows.append(row)
            print(json.dumps(row), file=sys.stderr, flush=True)
        if at == len(cases) - 1:  # the greatest
            memory = [measure_memory(work, rule) for rule in _MEMORY_RULES]
        shutil.rmtree(work)
    return rows, memory


def main() -> int:
    """Exit status 1 if a result is not exact or, in full, a target is missed."""
    options = _parse()
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="aggregation-", dir=options.folder) as folder:
        rows, memory = measure(options, Path(folder))
    if not options.quick:
        write_results([*rows, *memory], RESULTS)
    if options.json:
        print(json.dumps([*rows, *memory]))
    else:
        print_table(rows, memory)
    if options.quick:
        return 0 if all(row["exact"] for row in rows) else 1
    return 0 if is_within_targets(rows) else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON list, nothing else")
    parser.add_argument("--memory-only", action="store_true", help="nothing is compared")
    parser.add_argument("--quick", action="store_true", help="small, without thresholds")
    parser.add_argument("--counts", type=int, nargs="+", default=[10, 20, 50, 100])
    parser.add_argument(
        "--params", type=int, nargs="+", default=[1_000_000, 10_000_000, 25_000_000]
    )
    parser.add_argument("--rules", nargs="+", choices=sorted(RULES), default=list(RULES))
    parser.add_argument("--repeats", type=int, default=3, help="turns at least, short cases more")
    parser.add_argument("--peer-seconds", type=float, default=60.0, help="no longer per rule")
    parser.add_argument("--folder", type=Path, help="where the updates' files may lie")
    options = parser.parse_args()
    if options.quick:
        options.counts, options.params, options.repeats = [10], [200_000], 1
    return options


if __name__ == "__main__":
    sys.exit(main())
