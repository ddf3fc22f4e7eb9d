"""Proves what tests/proofs says with halmos, then shows that planted bugs are refuted.

Run by `make proofs` as `python -m tests.proofs.run HALMOS_ENVIRONMENT`.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.contracts.planted.mutants import Mutant, apply_mutant

from .planted import PLANTED

PROJECT = Path(__file__).parents[2]
COPIED = (
    "contracts",
    "tests/proofs",
    "tests/foundry",
    "foundry.toml",
    "package.json",
    ".tools/out/proofs",
    ".tools/cache/proofs",
)
VERDICTS = {0: "proven", 1: "REFUTED", 2: "TIMEOUT"}


@dataclass(frozen=True)
class Result:
    name: str
    verdict: str
    seconds: float


def main(environment: Path) -> int:
    proofs = prove(environment, PROJECT)
    report(proofs)
    refuted = [refute(environment, mutant) for mutant in PLANTED]
    unproven = [each for each in proofs if each.verdict != "proven"]
    print(
        f"{len(proofs) - len(unproven)} of {len(proofs)} properties proven; "
        f"{sum(refuted)} of {len(refuted)} planted bugs refuted"
    )
    return 0 if proofs and not unproven and all(refuted) else 1


def report(results: Sequence[Result]) -> None:
    for each in results:
        print(f"{each.verdict:8} {each.seconds:6.1f} s  {each.name}", flush=True)


def refute(environment: Path, mutant: Mutant) -> bool:
    with tempfile.TemporaryDirectory(prefix="proofs-") as folder:
        copy = Path(folder)
        plant(mutant, copy)
        names = "|".join(mutant.test_names)
        results = prove(environment, copy, ("--match-test", f"^({names})"))
    is_refuted = [each.verdict for each in results] == ["REFUTED"] * len(mutant.test_names)
    print(f"{'refuted' if is_refuted else 'MISSED':8} planted: {mutant.name}", flush=True)
    return is_refuted


def plant(mutant: Mutant, copy: Path) -> None:
    for name in COPIED:
        source, target = PROJECT / name, copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    (copy / "node_modules").symlink_to(PROJECT / "node_modules")
    file = copy / mutant.file
    file.write_text(apply_mutant(mutant, file.read_text()))


def prove(environment: Path, project: Path, chosen: Sequence[str] = ()) -> list[Result]:
    python = environment / "bin" / "python"
    answer = project / ".tools" / "proofs.json"
    answer.unlink(missing_ok=True)
    command = [
        str(environment / "bin" / "halmos"),
        *("--root", str(project), "--forge-build-out", ".tools/out/proofs", "--no-status"),
        *("--solver-command", f"{python} {Path(__file__).with_name('solver.py')}"),
        *("--solver-timeout-assertion", "0", "--solver-threads", "1"),
        *("--json-output", str(answer), *chosen),
    ]
    settings = os.environ | {"FOUNDRY_PROFILE": "proofs"}
    done = subprocess.run(
        command, cwd=project, env=settings, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if not answer.exists():
        raise RuntimeError(done.stdout + done.stderr)
    return read_results(json.loads(answer.read_text()))


def read_results(answer: dict[str, dict[str, list[dict[str, object]]]]) -> list[Result]:
    return [
        Result(
            name=f"{place.partition(':')[2]}.{str(test['name']).partition('(')[0]}",
            verdict=VERDICTS.get(int(str(test["exitcode"])), "ERROR"),
            seconds=float(str(test["time"][0] if isinstance(test["time"], list) else 0)),
        )
        for place, tests in answer["test_results"].items()
        for test in tests
    ]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
