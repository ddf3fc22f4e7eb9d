"""One process of Hardhat that runs the compiled Solidity tests again and again (judge.mjs)."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.contracts.planted.runner import ARTIFACTS_VARIABLE, TestsBroken


@dataclass(frozen=True)
class Tested:
    """Names as `test(arguments)`."""

    passed: frozenset[str]
    failed: frozenset[str]


class OutOfTime(Exception):
    """The tests did not end in time; the process is gone, the next call starts another."""


class Session:
    def __init__(self, project: Path, artifacts: Path) -> None:
        self._project = project
        self._artifacts = artifacts
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def run(self, file: str, fuzz_runs: int, timeout: float) -> Tested:
        """Raises OutOfTime, and TestsBroken if nothing ran."""
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"file": file, "fuzzRuns": fuzz_runs}) + "\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], timeout)[0]:
            self._stop()
            raise OutOfTime(f"{timeout:.0f} s: {file}")
        line = process.stdout.readline()
        answer = json.loads(line) if line else {"problem": "the process ended"}
        if "problem" in answer or not (answer["passed"] or answer["failed"]):
            self._stop()
            raise TestsBroken(answer.get("problem", "no test ran"))
        return Tested(frozenset(answer["passed"]), frozenset(answer["failed"]))

    def _start(self) -> subprocess.Popen[str]:
        script = Path(__file__).with_name("judge.mjs")
        environment = os.environ | {"NO_COLOR": "1", ARTIFACTS_VARIABLE: str(self._artifacts)}
        self._process = subprocess.Popen(
            ["node", str(script)],
            cwd=self._project,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # `node` may be a script that starts the real one
        )
        return self._process

    def _stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None
