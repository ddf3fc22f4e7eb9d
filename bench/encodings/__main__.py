"""python -m bench.encodings [--json] [--quick] [--seeds …] [--phase-seeds …] [--data FOLDER]

Accuracy against bytes per update: every encoding in the same rounds, then long local phases against
synchronous SGD, which sends a gradient for each batch. Fashion-MNIST, a CNN of 400 k parameters.
Runs of the same code that are there already are not repeated (--fresh starts anew). In full about
twenty minutes on two idle cores; --quick, a minute on digits.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.encodings.federation import Result, Setting, run
from bench.encodings.report import Row, compare_encodings, compare_phases, plot
from bench.encodings.settings import encoding_settings, phase_settings
from bench.encodings.tasks import find_data, make_task
from bench.workers import open_pool
from commonweal.cli.output import print_error, print_json
from commonweal.errors import CommonwealError

TRAINERS = 4
SAMPLES = 12_000  # of the training set
RESULTS = Path(__file__).parents[1] / "results"

Key = tuple[str, str, int]  # dataset, the setting in full, seed
Results = dict[Key, Result]


def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    try:
        rows = measure(options)
    except CommonwealError as error:
        return print_error(error)
    if options.json:
        print_json(rows)
    else:
        _show(rows)
    return 0


def measure(options: argparse.Namespace) -> list[Row]:
    """Run what is missing, write figures and plot. Raises DatasetMissing before any of it."""
    dataset = "digits" if options.quick else "fashion"
    encodings, phases = encoding_settings(quick=options.quick), phase_settings(quick=options.quick)
    if not options.quick:
        find_data(options.data)
    options.output.mkdir(parents=True, exist_ok=True)
    cache = options.output / "encodings.jsonl"
    if options.fresh:
        cache.unlink(missing_ok=True)
    results = _read(cache)
    wanted = [(s, seed) for seed in options.seeds for s in encodings]
    wanted += [(s, seed) for seed in options.phase_seeds for s in phases]
    missing = [(s, seed) for s, seed in wanted if _key(dataset, s, seed) not in results]
    for key, result in _execute(dataset, missing, options):
        results[key] = result
        _append(cache, key, result)

    def of(setting: Setting, seeds: Sequence[int]) -> list[Result]:
        return [results[_key(dataset, setting, seed)] for seed in seeds]

    rows = compare_encodings({s: of(s, options.seeds) for s in encodings})
    rows += compare_phases({s: of(s, options.phase_seeds) for s in phases})
    (options.output / "encodings.json").write_text(json.dumps(rows, indent=1) + "\n")
    plot(rows, options.output)
    return rows


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.encodings", description=__doc__)
    parser.add_argument("--seeds", nargs="+", type=int)
    parser.add_argument("--phase-seeds", nargs="+", type=int, help="of the long local phases")
    parser.add_argument("--data", type=Path, help="folder of Fashion-MNIST's IDX files")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of figures and plot")
    parser.add_argument("--quick", action="store_true", help="digits, one seed, few rounds")
    parser.add_argument("--fresh", action="store_true", help="keep nothing of earlier runs")
    parser.add_argument("--json", action="store_true", help="rows to stdout, nothing else there")
    options = parser.parse_args(arguments)
    options.seeds = options.seeds or ([0] if options.quick else [0, 1, 2])
    options.phase_seeds = options.phase_seeds or options.seeds
    return options


def _execute(
    dataset: str, runs: Sequence[tuple[Setting, int]], options: argparse.Namespace
) -> Iterator[tuple[Key, Result]]:
    with open_pool(options.jobs) as pool:
        futures = {pool.submit(execute, dataset, *each, options.data): each for each in runs}
        for done, future in enumerate(as_completed(futures), 1):
            (setting, seed), result = futures[future], future.result()
            text = f"{done}/{len(runs)} {setting.name} seed {seed}: {result.accuracy:.1%}"
            print(text, file=sys.stderr, flush=True)
            yield _key(dataset, setting, seed), result


def execute(dataset: str, setting: Setting, seed: int, data: Path | None) -> Result:
    return run(make_task(dataset, seed, TRAINERS, SAMPLES, data), setting, seed)


def _key(dataset: str, setting: Setting, seed: int) -> Key:
    return dataset, repr(setting), seed


def _read(cache: Path) -> Results:
    if not cache.exists():
        return {}
    lines = [json.loads(line) for line in cache.read_text().splitlines()]
    return {tuple(line["key"]): Result(**line["result"]) for line in lines}


def _append(cache: Path, key: Key, result: Result) -> None:
    with cache.open("a") as file:
        file.write(json.dumps({"key": key, "result": asdict(result)}) + "\n")


def _show(rows: Sequence[Row]) -> None:
    table = Table("encoding", "steps", "bytes", "times smaller", "× fewer per sample", "accuracy")
    table.add_column("compared with")
    for row in rows:
        table.add_row(
            row["encoding"],
            str(row["local_steps"]),
            f"{row['bytes']:,}",
            f"{row['times_smaller']:.1f}",
            f"{row['times_fewer_bytes_per_sample']:.0f}",
            f"{row['accuracy']:.2%}",
            f"{row['points_lost']:+.2f} (± {row['points_lost_error'] or '?'}) points lost",
        )
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
