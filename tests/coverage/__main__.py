"""python -m tests.coverage: which branches of the contracts the Solidity tests take.

Run in the project's folder. Exits with 1 below 98 %, and when a branch that unreached.toml calls
unreachable is taken or gone.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.contracts.mutation.generator import read_trees

from .branches import Branch, Marked, mark_branches

LEAST = 0.98
COPIED = ("contracts", "tests/contracts", "tests/vectors", "hardhat.config.js", "package.json")
LEFT_OUT = (
    "BoardGas.t.sol",
    "invariants",
)  # instrumented code costs more; the invariants take long


def main() -> int:
    project = Path.cwd()
    files = sorted(str(path.relative_to(project)) for path in project.glob("contracts/**/*.sol"))
    trees = read_trees(files, project)
    marked = {file: mark_branches(file, trees[file], Path(file).read_bytes()) for file in files}
    with tempfile.TemporaryDirectory(prefix="coverage-") as folder:
        copy = Path(folder) / "project"
        _copy(project, copy, marked)
        print("compiling and testing an instrumented copy takes about ten minutes", flush=True)
        _test(copy)
        taken = _read_lcov((copy / "coverage/lcov.info").read_text())
    return _report({file: each for file, each in marked.items() if each.branches}, taken)


def _copy(project: Path, copy: Path, marked: dict[str, Marked]) -> None:
    for name in COPIED:
        source, target = project / name, copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    (copy / "node_modules").symlink_to((project / "node_modules").resolve())
    for name in LEFT_OUT:
        path = copy / "tests/contracts" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for file, each in marked.items():
        (copy / file).write_bytes(each.text)


def _test(copy: Path) -> None:
    # Without names of tests: with them, what no test imports would not be compiled.
    command = ["npx", "--no-install", "hardhat", "test", "solidity", "--coverage"]
    environment = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    failed = re.findall(r"^  \d+\) (.*)", done.stdout, re.MULTILINE)
    print("\n".join(f"failed, perhaps for want of gas: {name}" for name in failed))
    if not (copy / "coverage/lcov.info").exists():
        raise RuntimeError(done.stdout + done.stderr)


def _read_lcov(text: str) -> set[tuple[str, int]]:
    """(file, line) of what was executed."""
    taken, file = set(), ""
    for line in text.splitlines():
        kind, _, rest = line.partition(":")
        if kind == "SF":
            file = rest
        elif kind == "DA" and not rest.endswith(",0"):
            taken.add((file, int(rest.split(",")[0])))
    return taken


def _report(marked: dict[str, Marked], taken: set[tuple[str, int]]) -> int:
    table = Table("contract", "branches", "taken", "%")
    missed: list[Branch] = []
    for file, each in marked.items():
        left = [
            b
            for b, line in zip(each.branches, each.lines, strict=True)
            if (file, line) not in taken
        ]
        missed += left
        _add_row(table, file, len(each.branches), len(left))
    total = sum(len(each.branches) for each in marked.values())
    _add_row(table, "all", total, len(missed))
    Console().print(table)
    print("\n".join(f"not taken: {branch}" for branch in missed))
    return 0 if _explain(missed) and len(missed) <= (1 - LEAST) * total else 1


def _add_row(table: Table, name: str, branches: int, missed: int) -> None:
    table.add_row(name, str(branches), str(branches - missed), f"{1 - missed / branches:.2%}")


def _explain(missed: Iterable[Branch]) -> bool:
    """Whether what is said to be unreachable is what was not reached."""
    entries = tomllib.loads(Path(__file__).with_name("unreached.toml").read_text())["unreached"]
    known = {
        (entry["file"], entry["condition"], entry["side"]): entry["reason"] for entry in entries
    }
    have = {(branch.file, branch.condition, branch.side) for branch in missed}
    for key in have - known.keys():
        print(f"not explained: {key[0]}: {key[1]} never {str(key[2]).lower()}")
    for key in known.keys() - have:
        print(f"said to be unreached, and is not: {key[0]}: {key[1]}")
    return have == known.keys()


if __name__ == "__main__":
    sys.exit(main())
