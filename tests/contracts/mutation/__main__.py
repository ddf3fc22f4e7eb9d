"""python -m tests.contracts.mutation [--sample N] [--seed S] [--list] [WORD…]

Changes the contracts in one place at a time and expects a test to fail. WORD: only files whose
name contains one. Every survivor must be killed by a new test or explained in survivors.toml.
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.contracts.planted.runner import Outcome, judge, mutated

from .generator import Mutation, generate, read_trees
from .survivors import find_stale, read_explanations
from .targets import FILES, all_tests, nearest_tests

EXPLAINED = Path(__file__).with_name("survivors.toml")
TIMEOUT = 300  # seconds; a mutant that runs for longer hangs, which somebody would notice


def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    project = Path.cwd()
    mutations = [each for file in FILES for each in _read(file, project)]
    explanations = read_explanations(EXPLAINED)
    stale = find_stale(explanations, mutations)
    print("\n".join([f"{len(mutations)} mutants of {len(FILES)} files", *stale]), flush=True)
    chosen = [each for each in mutations if not options.words or _has(each, options.words)]
    if options.sample < len(chosen):
        chosen = random.Random(options.seed).sample(chosen, options.sample)
    if options.list:
        print("\n".join(_describe(each) for each in chosen))
        return len(stale) != 0
    unexplained = _run(chosen, {each.key for each in explanations}, project)
    return 1 if stale or unexplained else 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mutation", description=__doc__)
    parser.add_argument("--sample", type=int, default=10**9, help="that many at random")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--list", action="store_true", help="show them and run none")
    parser.add_argument("words", nargs="*", metavar="WORD")
    return parser.parse_args(arguments)


def _read(file: str, project: Path) -> list[Mutation]:
    tree = read_trees([file], project)[file]
    return generate(file, tree, (project / file).read_bytes())


def _has(mutation: Mutation, words: Sequence[str]) -> bool:
    return any(word in mutation.file for word in words)


def _run(chosen: Sequence[Mutation], explained: set[object], project: Path) -> int:
    """The number of survivors without an explanation."""
    counts: Counter[str] = Counter()
    for number, mutation in enumerate(chosen, 1):
        began = time.monotonic()
        verdict: str = _try(mutation, project).verdict
        if verdict == "survived" and mutation.key in explained:
            verdict = "explained"
        counts[verdict] += 1
        seconds = time.monotonic() - began
        print(f"{number:4} {verdict:12} {seconds:4.0f} s  {_describe(mutation)}", flush=True)
    real = len(chosen) - counts["unchanged"] - counts["uncompilable"]
    dead = counts["killed"] + counts["timeout"]
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()))
    print(f"{dead} of {real} killed, {counts['explained']} explained")
    return counts["survived"]


def _try(mutation: Mutation, project: Path) -> Outcome:
    source = mutation.apply((project / mutation.file).read_bytes()).decode()
    with mutated(mutation.file, source, project) as artifacts:
        if isinstance(artifacts, Outcome):
            return artifacts
        first = judge(nearest_tests(mutation.file), project, artifacts, TIMEOUT)
        if first.verdict != "survived":
            return first
        return judge(all_tests(project), project, artifacts, TIMEOUT)


def _describe(mutation: Mutation) -> str:
    place = f"{mutation.file}:{mutation.line} {mutation.function}"
    return f"{place}: {mutation.operator}\n          {mutation.before}\n       -> {mutation.after}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
