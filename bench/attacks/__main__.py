"""python -m bench.attacks [--json] [--quick] [--dataset …] [--alpha …] [--attackers …] [--attack …]

Every attack against the default scoring and aggregation, or the --rule named. A row per run; those
of an earlier run of the same code are kept, so an interrupted one goes on (--fresh starts anew).
A run on digits takes about five seconds of one core, on Fashion-MNIST seven; --quick, a minute.
`python -m bench.attacks.summary` shows the worst of all rows and draws them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, get_args

from rich.console import Console
from rich.table import Table

from bench.attacks.attacks import ATTACKS
from bench.attacks.liars import LIES
from bench.attacks.network import Network, Plan, Result, TrainingCache
from bench.attacks.tasks import Skew, make_task
from bench.fingerprint import fingerprint_judging
from bench.workers import open_pool
from commonweal.protocol.specs import ScoringSpec

TRAINERS = 20
RULES = get_args(ScoringSpec.model_fields["rule"].annotation)
RESULTS = Path(__file__).parents[1] / "results"
_QUICK = ("sign-flip", "alie", "backdoor", "sybil-jitter", "adaptive")


@dataclass(frozen=True)
class Run:
    dataset: str
    alpha: float
    attackers: float  # share
    attack: str | None
    lying_validators: int  # of five
    lie: str
    seed: int
    skew: Skew = "label"
    rule: str = RULES[0]

    @property
    def clean(self) -> Run:
        """All twenty are honest, and so are the judges."""
        return replace(self, attackers=0.0, attack=None, lying_validators=0, lie="")

    @property
    def without(self) -> Run:
        """The same honest trainers, and nobody else."""
        return replace(self, attack=None, lying_validators=0, lie="")


def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    runs = list(dict.fromkeys(_plan(options)))
    options.out.mkdir(parents=True, exist_ok=True)
    cache = find_cache(options.out)
    if options.fresh:
        cache.unlink(missing_ok=True)
    results = _read(cache)
    missing = [run for run in _with_baselines(runs) if run not in results]
    for run, result in _execute(missing, options):
        results[run] = result
        _append(cache, run, result)
        _write(options.out, results)
    _write(options.out, results)
    rows = [_row(run, results) for run in runs if run.attack is not None]
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        _show(rows)
    return 0


def find_cache(folder: Path) -> Path:
    """A file per state of the code that a run depends on: others' rows are not taken for its."""
    lab = [
        Path(__file__).parent / f"{name}.py" for name in ("attacks", "liars", "network", "tasks")
    ]
    return folder / f"attacks-{fingerprint_judging(lab)}.jsonl"


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.attacks", description=__doc__)
    parser.add_argument("--dataset", nargs="+", choices=("digits", "fashion"))
    parser.add_argument("--alpha", nargs="+", type=float, default=[0.5, 0.1])
    parser.add_argument("--attackers", nargs="+", type=float, default=[0.2, 0.4, 0.6])
    parser.add_argument("--attack", nargs="+", choices=sorted(ATTACKS))
    parser.add_argument("--lying", nargs="+", type=int, default=[0, 1], help="judges of five")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--skew", choices=get_args(Skew), default="label")
    parser.add_argument("--rule", nargs="+", choices=RULES, default=list(RULES[:1]))
    parser.add_argument("--data", type=Path, help="folder of Fashion-MNIST's IDX files")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--fresh", action="store_true", help="keep nothing of earlier runs")
    parser.add_argument("--json", action="store_true", help="rows to stdout, nothing else there")
    options = parser.parse_args(arguments)
    if options.quick:
        options.alpha, options.attackers, options.seeds, options.lying = [0.5], [0.4], [0], [0]
        options.attack = options.attack or list(_QUICK)
    options.dataset = options.dataset or (["digits"] if options.quick else ["digits", "fashion"])
    options.attack = options.attack or list(ATTACKS)
    return options


def _plan(options: argparse.Namespace) -> Iterator[Run]:
    """With lying judges, each attack meets another kind of lie."""
    lies = list(LIES)
    sides = (options.dataset, options.rule, options.seeds, options.alpha)
    inner = (options.attackers, options.lying)
    for dataset, rule, seed, alpha, share, lying in product(*sides, *inner):
        for attack in options.attack:
            lie = lies[(list(ATTACKS).index(attack) + seed) % len(lies)] if lying else ""
            yield Run(dataset, alpha, share, attack, lying, lie, seed, options.skew, rule)


def _with_baselines(runs: Sequence[Run]) -> list[Run]:
    return list(dict.fromkeys(each for run in runs for each in (run.clean, run.without, run)))


def _execute(runs: Sequence[Run], options: argparse.Namespace) -> Iterator[tuple[Run, Result]]:
    with open_pool(options.jobs) as pool:
        futures = {pool.submit(execute, run, options.data): run for run in runs}
        for done, future in enumerate(as_completed(futures), 1):
            run, result = futures[future], future.result()
            name = run.attack or "nobody attacks"
            where = f"{run.dataset} {run.alpha} {run.attackers:.0%} seed {run.seed}"
            text = f"{done}/{len(runs)} {where} {name}: {result.accuracy:.1%}"
            print(text, file=sys.stderr, flush=True)
            yield run, result


def execute(run: Run, data: Path | None) -> Result:
    cache = _prepare(run.dataset, run.alpha, run.seed, run.skew, data)
    spec = cache.task.spec
    scoring = spec.scoring.model_copy(update={"rule": run.rule})
    task = replace(cache.task, spec=spec.model_copy(update={"scoring": scoring}))
    attackers = round(TRAINERS * run.attackers)
    plan = Plan(run.attack, attackers, run.lying_validators, run.lie or "constant", run.seed)
    return Network(task, plan, cache).run()


@lru_cache(maxsize=1)
def _prepare(dataset: str, alpha: float, seed: int, skew: Skew, data: Path | None) -> TrainingCache:
    """Runs of one task come one after another, so one task at a time is kept per process."""
    return TrainingCache(make_task(dataset, alpha, seed, TRAINERS, data, skew))


def _write(folder: Path, results: dict[Run, Result]) -> None:
    """Rows of all runs so far whose baselines are there too."""
    rows = [
        _row(run, results)
        for run in results
        if run.attack is not None and run.clean in results and run.without in results
    ]
    (folder / "attacks.json").write_text(json.dumps(rows, indent=1) + "\n")


def _row(run: Run, results: dict[Run, Result]) -> dict[str, Any]:
    result = results[run]
    measured = {name: round(value, 4) for name, value in asdict(result).items()}
    return {
        **asdict(run),
        **measured,
        "clean_accuracy": round(results[run.clean].accuracy, 4),
        "clean_backdoor_success": round(results[run.clean].backdoor_success, 4),
        "accuracy_without_them": round(results[run.without].accuracy, 4),
    }


def _read(cache: Path) -> dict[Run, Result]:
    if not cache.exists():
        return {}
    lines = [json.loads(line) for line in cache.read_text().splitlines()]
    return {Run(**line["run"]): Result(**line["result"]) for line in lines}


def _append(cache: Path, run: Run, result: Result) -> None:
    with cache.open("a") as file:
        file.write(json.dumps({"run": asdict(run), "result": asdict(result)}) + "\n")


def _show(rows: Sequence[dict[str, Any]]) -> None:
    columns = ("dataset", "alpha", "attackers", "attack", "lying", "seed", "accuracy", "clean")
    more = ("without them", "backdoor", "honest pay", "attacks' pay", "lowest pay", "profit")
    table = Table(*columns, *more)
    for row in rows:
        table.add_row(
            row["dataset"],
            str(row["alpha"]),
            f"{row['attackers']:.0%}",
            row["attack"],
            f"{row['lying_validators']} {row['lie']}",
            str(row["seed"]),
            f"{row['accuracy']:.1%}",
            f"{row['clean_accuracy']:.1%}",
            f"{row['accuracy_without_them']:.1%}",
            f"{row['backdoor_success']:.1%}",
            f"{row['honest_pay_share']:.1%}",
            f"{row['attack_pay_share']:.1%}",
            f"{row['lowest_over_median_honest_pay']:.2f}",
            f"{row['best_attacker_profit']:+.2f}",
        )
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
