"""python -m tests.contracts.planted [--check] [WORD]: every planted bug must be noticed.

Run in the project's folder. `--check` only looks whether each is still where it was. WORD: only
those whose name contains it.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .mutants import Mutant, check_mutants
from .runner import run_mutant, run_tests
from .twins import TWINS


def main(arguments: Sequence[str]) -> int:
    project = Path.cwd()
    words = [word for word in arguments if not word.startswith("--")]
    twins = [twin for twin in TWINS if all(word in twin.name for word in words)]
    stale = check_mutants(twins, project)
    print("\n".join(stale) or f"{len(twins)} planted bugs are where they were")
    if stale or "--check" in arguments:
        return len(stale) != 0
    return _run(twins, project)


def _run(twins: Sequence[Mutant], project: Path) -> int:
    tests = sorted({test for twin in twins for test in twin.tests})
    failed, output = run_tests(tests, project)
    if failed:
        print(f"red without any bug: {', '.join(failed)}\n{output}")
        return 1
    return sum(not _is_killed(twin, project) for twin in twins) != 0


def _is_killed(twin: Mutant, project: Path) -> bool:
    began = time.monotonic()
    outcome = run_mutant(twin, project)
    print(f"{outcome.verdict:12} {time.monotonic() - began:4.0f} s  {twin.name}", flush=True)
    return outcome.verdict == "killed"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
