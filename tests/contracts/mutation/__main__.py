"""python -m tests.contracts.mutation [--minutes N] [--sample N] [--again] [--list] [WORD…]

Changes the contracts in one place at a time and expects a test to fail. WORD: only files whose name
contains one, in this order. Continues where the last run ended (bench/results/mutation.json). A
mutant that survives the nearest tests is suspect until --again has tried it with all of them.
Whatever no test kills must be explained in survivors.toml.
"""

import argparse
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .bench import Bench
from .generator import Mutation, generate, read_trees
from .results import Results, adopt, read_results, write_results
from .session import Session
from .survivors import Key, find_stale, read_explanations
from .targets import FILES
from .woven import weave_all

EXPLAINED = Path(__file__).with_name("survivors.toml")
RESULTS = Path("bench/results/mutation.json")
FOLDER = Path(".tools/mutation")


def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    project = Path.cwd()
    trees = read_trees(FILES, project)
    by_file = {f: generate(f, trees[f], (project / f).read_bytes()) for f in FILES}
    mutations = [each for its in by_file.values() for each in its]
    explanations = read_explanations(EXPLAINED)
    stale = find_stale(explanations, mutations)
    print("\n".join([f"{len(mutations)} mutants of {len(FILES)} files", *stale]), flush=True)
    results = read_results(RESULTS)
    adopt(results, by_file, project)
    explained = {each.key for each in explanations}
    chosen = _choose(mutations, results, options, explained)
    if options.list:
        print("\n".join(_describe(each) for each in chosen))
        return len(stale) != 0
    until = time.monotonic() + 60 * options.minutes
    _run(mutations, chosen, results, until, thorough=options.again)
    unexplained = _report(results, explained)
    return 1 if stale or unexplained else 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mutation", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1e6, help="begin none after that many")
    parser.add_argument("--sample", type=int, default=10**9, help="that many at random")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--again", action="store_true", help="suspects, with all tests")
    parser.add_argument("--list", action="store_true", help="show them and run none")
    parser.add_argument("words", nargs="*", metavar="WORD")
    return parser.parse_args(arguments)


def _choose(
    mutations: Sequence[Mutation],
    results: Results,
    options: argparse.Namespace,
    explained: set[Key],
) -> list[Mutation]:
    """With --again those that nobody has explained first, and these as often as they survive."""
    words = options.words or [""]
    chosen = [each for word in words for each in mutations if word in each.file]
    chosen = list(dict.fromkeys(chosen))
    if options.again:
        open_ = {"suspect", "survived"}
        fresh = [m for m in chosen if m.key not in explained and results.verdict_of(m) in open_]
        known = [m for m in chosen if m.key in explained and results.verdict_of(m) == "suspect"]
        chosen = fresh + known
    else:
        chosen = [each for each in chosen if results.verdict_of(each) is None]
    if options.sample < len(chosen):
        chosen = random.Random(options.seed).sample(chosen, options.sample)
    return chosen


def _run(
    mutations: Sequence[Mutation],
    chosen: Sequence[Mutation],
    results: Results,
    until: float,
    thorough: bool,
) -> None:
    project = Path.cwd()
    cloth = weave_all(mutations, project, FOLDER)
    live = (FOLDER / "live").resolve()
    with Session(project, live) as session:
        bench = Bench(project, cloth, live, session, thorough)
        bench.reset()
        for number, mutation in enumerate(chosen, 1):
            if time.monotonic() >= until:
                break
            began = time.monotonic()
            verdict, by = bench.judge(mutation)
            if verdict == "survived" and not thorough:
                verdict = "suspect"
            results.note(mutation, verdict)
            write_results(RESULTS, results)
            seconds = time.monotonic() - began
            print(
                f"{number:4} {verdict:9} {seconds:4.0f} s  {_describe(mutation)}  {by}", flush=True
            )


def _report(results: Results, explained: set[Key]) -> int:
    """The number of those that no test kills, without an explanation."""
    print(", ".join(f"{count} {what}" for what, count in results.totals().items()))
    unexplained = [each for each in results.alive.values() if each.key not in explained]
    for each in unexplained:
        print(f"alive: {each.file} {each.function}: {each.before}\n    -> {each.after}")
    print(f"{len(results.alive) - len(unexplained)} explained, {len(unexplained)} not")
    return len(unexplained)


def _describe(mutation: Mutation) -> str:
    place = f"{mutation.file}:{mutation.line} {mutation.function}"
    return f"{place}: {mutation.operator}: {mutation.before}  ->  {mutation.after}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
