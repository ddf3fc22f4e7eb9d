"""Tries mutants: the tests that killed the file's last mutants first, then the rest of them.

A mutant is killed by a test that passes on the very same code with no mutant switched on, so a test
of gas, which the switches cost too, kills nothing. A test that cannot set up does not pass.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tests.contracts.planted.runner import ARTIFACTS, Outcome, mutated

from .generator import Mutation
from .session import OutOfTime, Session
from .targets import affected, nearest_tests, seeing_tests
from .woven import Cloth, switch_on

TIMEOUT = 90  # seconds for one test file: those that end take a few
FEW, MANY = 4, 32  # fuzz runs, at first and for those that survive


@dataclass
class Bench:
    """`live`: the folder from which the session's tests load the contracts. `thorough`: every test
    that can see a mutant, with much fuzzing, instead of the nearest ones with little."""

    project: Path
    cloth: Cloth
    live: Path
    session: Session
    thorough: bool
    _order: dict[str, list[str]] = field(default_factory=dict)
    _passing: dict[str, frozenset[str]] = field(default_factory=dict)

    def reset(self) -> None:
        """All contracts as woven, no mutant switched on."""
        shutil.copytree(self.project / ARTIFACTS, self.live, dirs_exist_ok=True)
        shutil.copytree(self.cloth.artifacts, self.live, dirs_exist_ok=True)

    def judge(self, mutation: Mutation) -> tuple[str, str]:
        """The verdict, and by which test."""
        number = self.cloth.number_of(mutation)
        if number is None:
            return self._judge_alone(mutation)
        order = self._order.setdefault(mutation.file, self._tests_for(mutation.file))
        for test in order:
            self._passing_in(test)
        names = affected(mutation.file)
        switch_on(number, names, self.cloth.artifacts, self.live)
        try:
            return self._try(order)
        finally:
            self._restore(names)

    def _judge_alone(self, mutation: Mutation) -> tuple[str, str]:
        """For what no switch can express: compiled for itself."""
        source = mutation.apply((self.project / mutation.file).read_bytes()).decode()
        order = self._tests_for(mutation.file)
        for test in order:
            self._passing_in(test)
        with mutated(mutation.file, source, self.project) as artifacts:
            if isinstance(artifacts, Outcome):
                return artifacts.verdict, ""
            shutil.copytree(artifacts, self.live, dirs_exist_ok=True)
            try:
                return self._try(order)
            finally:
                self.reset()

    def _try(self, order: list[str]) -> tuple[str, str]:
        for runs in (FEW, MANY) if self.thorough else (FEW,):
            for test in list(order):
                try:
                    tested = self.session.run(test, runs, TIMEOUT)
                except OutOfTime:
                    return "timeout", test
                failed = self._passing[test] - tested.passed
                if failed:
                    order.remove(test)
                    order.insert(0, test)
                    return "killed", min(failed)
        return "survived", ""

    def _tests_for(self, file: str) -> list[str]:
        return list(seeing_tests(file) if self.thorough else nearest_tests(file))

    def _passing_in(self, test: str) -> frozenset[str]:
        if test not in self._passing:
            self._passing[test] = self.session.run(test, FEW, TIMEOUT).passed
        return self._passing[test]

    def _restore(self, names: tuple[str, ...]) -> None:
        for name in names:
            place = Path(f"{name}.sol") / f"{name}.json"
            shutil.copy(self.cloth.artifacts / place, self.live / place)
