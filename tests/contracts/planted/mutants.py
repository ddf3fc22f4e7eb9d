"""A mutant: one exact change to one contract source, and the tests that must go red for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutant:
    """`file` is relative to the project, as are the test files in `tests`.

    A test is `path/X.t.sol` (any of its tests may notice) or `path/X.t.sol::function` (that very
    one must).
    """

    name: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...]

    @property
    def test_files(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(test.partition("::")[0] for test in self.tests))

    @property
    def test_names(self) -> tuple[str, ...]:
        return tuple(test.partition("::")[2] for test in self.tests if "::" in test)


class MutantStale(Exception):
    """The text to replace is not in the contracts exactly once, or a named test is gone."""


def apply_mutant(mutant: Mutant, source: str) -> str:
    """The mutated source. Raises MutantStale unless the text occurs exactly once."""
    found = source.count(mutant.find)
    if found != 1:
        raise MutantStale(f"{mutant.name}: found {found} times in {mutant.file}: {mutant.find!r}")
    return source.replace(mutant.find, mutant.replace)


def check_mutants(mutants: Iterable[Mutant], project: Path) -> list[str]:
    """What is stale about them, a line each."""
    return [line for mutant in mutants for line in _check(mutant, project)]


def _check(mutant: Mutant, project: Path) -> list[str]:
    lines = []
    try:
        apply_mutant(mutant, (project / mutant.file).read_text())
    except (MutantStale, FileNotFoundError) as error:
        lines.append(str(error))
    texts = {file: _read(project / file) for file in mutant.test_files}
    lines += [f"{mutant.name}: no test file {file}" for file, text in texts.items() if not text]
    lines += [
        f"{mutant.name}: no test {name}"
        for name in mutant.test_names
        if not any(f"function {name}(" in text for text in texts.values())
    ]
    return lines


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""
