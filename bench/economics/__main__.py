"""python -m bench.economics [--json] [--quick] [--rounds N] [--lives N] [--seed S] …

What every strategy of trainers, validators and groups earns per hundred rounds, how likely it is
jailed, when it is ruined; and which part of the stake breaks which guarantee. Ballots come from
jobs that the real code trains and scores once (half an hour; kept, --fresh records them anew); all
else is computed for every round by the protocol's own functions (a quarter of an hour).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from bench.economics import capture, report
from bench.economics.recording import Recording, Scene, collect, find_cache
from bench.economics.studies import RECORDED_ROUNDS, Study, find_profitable, plan, run_study

RESULTS = Path(__file__).parents[1] / "results"
_QUICK_SHARES = (0.1, 0.33)
_QUICK_ROUNDS = 3  # recorded


def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    studies = plan(quick=options.quick)
    options.out.mkdir(parents=True, exist_ok=True)
    cache = find_cache(options.out)
    if options.fresh:
        cache.unlink(missing_ok=True)
    scenes = list(dict.fromkeys(scene for study in studies for scene in _scenes(study, options)))
    recordings = collect(scenes, cache, options.jobs)
    work = [(study, [recordings[scene] for scene in _scenes(study, options)]) for study in studies]
    rows = _run(work, options)
    captures = {"profitable": find_profitable(rows), **_compute_captures(options)}
    _store(rows, captures, options.out)
    if options.json:
        print(json.dumps({"strategies": rows, **captures}, indent=1))
    else:
        report.show(rows, captures)
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.economics", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="of a life")
    parser.add_argument("--lives", type=int, default=10, help="of each study")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recordings", type=int, default=1, help="jobs recorded per content")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a few studies, two short lives each")
    parser.add_argument("--fresh", action="store_true", help="record the ballots anew")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--json", action="store_true", help="one JSON object, nothing else")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.lives = min(options.rounds, 40), 2
    return options


def _scenes(study: Study, options: argparse.Namespace) -> list[Scene]:
    rounds = _QUICK_ROUNDS if options.quick else RECORDED_ROUNDS
    return study.scenes(range(options.recordings), rounds)


def _run(
    work: Sequence[tuple[Study, list[Recording]]], options: argparse.Namespace
) -> list[dict[str, Any]]:
    run = partial(_execute, rounds=options.rounds, lives=options.lives, seed=options.seed)
    rows = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for done, row in enumerate(pool.map(run, work), 1):
            rows.append(row)
            name = f"{row['sweep']} {row['setting']} {row['strategy']}"
            text = f"{done}/{len(work)} {name}: {row['return_per_100']:+.1f} %"
            print(text, file=sys.stderr, flush=True)
    return rows


def _execute(
    work: tuple[Study, list[Recording]], *, rounds: int, lives: int, seed: int
) -> dict[str, Any]:
    study, recordings = work
    return run_study(study, recordings, rounds=rounds, lives=lives, seed=seed)


def _compute_captures(options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    shares = _QUICK_SHARES if options.quick else capture.SHARES
    draws = 500 if options.quick else 20_000
    return {
        "captures": capture.collect(shares),
        "breaks": capture.collect_breaks(),
        "checks": capture.collect_checks(draws, options.seed),
    }


def _store(
    rows: list[dict[str, Any]], captures: dict[str, list[dict[str, Any]]], folder: Path
) -> None:
    text = json.dumps({"strategies": rows, **captures}, indent=1)
    (folder / "economics.json").write_text(text + "\n")
    report.plot(rows, captures["captures"], folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
