"""Compiles a mutated contract, puts it where the Solidity tests load theirs, and runs tests on it.

Only tests that load contracts as artifacts (Deployed's `create`) can see a mutant. The tests
themselves are not compiled: `hardhat build` must have seen them.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .mutants import Mutant, apply_mutant

ARTIFACTS = "artifacts/contracts"
ARTIFACTS_VARIABLE = "COMMONWEAL_ARTIFACTS"  # read by Deployed and hardhat.config.js
FAILURE = re.compile(r"^\s+\d+\) (\w+)\(", re.MULTILINE)
SUCCESS = re.compile(r"^\s+✔ (\w+)\(", re.MULTILINE)

Verdict = Literal["killed", "survived", "unchanged", "uncompilable", "timeout"]


@dataclass(frozen=True)
class Outcome:
    """`unchanged`: the compiled code is the same. `timeout`: the tests did not end in time."""

    verdict: Verdict
    failed: tuple[str, ...] = ()
    output: str = ""


class TestsBroken(Exception):
    """The tests did not run at all."""


def run_mutant(mutant: Mutant, project: Path, timeout: float = 900) -> Outcome:
    """Raises MutantStale if the text to replace is not there exactly once."""
    source = apply_mutant(mutant, (project / mutant.file).read_text())
    with mutated(mutant.file, source, project) as artifacts:
        if isinstance(artifacts, Outcome):
            return artifacts
        return judge(mutant.tests, project, artifacts, timeout)


@contextmanager
def mutated(file: str, source: str, project: Path) -> Iterator[Path | Outcome]:
    """The artifacts of the contracts with this source instead, or why there are no others."""
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        copy, artifacts = Path(folder) / "project", Path(folder) / "artifacts"
        _plant(file, source, project, copy)
        shutil.copytree(project / ARTIFACTS, artifacts)
        compiled = _compile(file, copy, artifacts)
        if compiled.returncode == 2:
            yield Outcome("uncompilable", output=compiled.stderr)
            return
        compiled.check_returncode()
        same = not _differs(compiled.stdout.split(), artifacts, project / ARTIFACTS)
        yield Outcome("unchanged") if same else artifacts


def judge(tests: Sequence[str], project: Path, artifacts: Path, timeout: float) -> Outcome:
    try:
        failed, output = run_tests(tests, project, artifacts, timeout)
    except subprocess.TimeoutExpired:
        return Outcome("timeout")
    wanted = {name for _, _, name in (test.partition("::") for test in tests) if name}
    killed = wanted <= set(failed) if wanted else bool(failed)
    return Outcome("killed" if killed else "survived", failed, output)


def run_tests(
    tests: Sequence[str], project: Path, artifacts: Path | None = None, timeout: float = 900
) -> tuple[tuple[str, ...], str]:
    """The names of the tests that failed, and what was printed."""
    files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
    names = [test.partition("::")[2] for test in tests]
    command = ["npx", "--no-install", "hardhat", "test", "solidity", "--no-compile", *files]
    if all(names):
        command += ["--grep", f"^({'|'.join(names)})\\("]
    folder = artifacts or project / ARTIFACTS
    environment = os.environ | {"NO_COLOR": "1", ARTIFACTS_VARIABLE: str(folder)}
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=timeout
    )
    failed = tuple(dict.fromkeys(FAILURE.findall(done.stdout)))
    if not failed and not SUCCESS.search(done.stdout):
        raise TestsBroken(done.stdout + done.stderr)
    return failed, done.stdout


def _plant(file: str, source: str, project: Path, copy: Path) -> None:
    shutil.copytree(project / "contracts", copy / "contracts")
    shutil.copy(project / "hardhat.config.js", copy)
    shutil.copy(project / "package.json", copy)
    (copy / "node_modules").symlink_to((project / "node_modules").resolve())
    (copy / file).write_text(source)


def _compile(file: str, copy: Path, out: Path) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).with_name("compile.mjs")
    command = ["node", str(script), file, str(out)]
    return subprocess.run(command, cwd=copy, capture_output=True, text=True)


def _differs(names: Sequence[str], left: Path, right: Path) -> bool:
    return any(_code(left, name) != _code(right, name) for name in names)


def _code(artifacts: Path, name: str) -> str:
    text = (artifacts / f"{name}.sol" / f"{name}.json").read_text()
    found = re.search(r'"bytecode":\s*"(0x[0-9a-f]*)"', text)
    if found is None:
        raise TestsBroken(f"no bytecode for {name}")
    return found[1]
