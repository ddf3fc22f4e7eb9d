"""What is known about each mutant, kept in one file so that a run continues where the last ended.

A verdict counts as long as its source file is the same to the byte.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .generator import Mutation

# timeout: the tests do not end, which somebody would notice. unchanged: the compiled code is equal.
# suspect: survived the nearest tests, and has not been tried with all of them.
VERDICTS = ("killed", "timeout", "suspect", "survived", "unchanged", "uncompilable")


@dataclass(frozen=True)
class Survivor:
    """A mutant whose verdict is `suspect` or `survived`."""

    file: str
    function: str
    operator: str
    before: str
    after: str
    occurrence: int

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        return self.file, self.function, self.before, self.after, self.occurrence


@dataclass
class FileResult:
    """`verdicts` by the mutant's name (`name_of`)."""

    source: str
    mutants: int
    verdicts: dict[str, str] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        found = Counter(self.verdicts.values())
        known = {verdict: found[verdict] for verdict in VERDICTS if found[verdict]}
        return {"mutants": self.mutants, "run": len(self.verdicts), **known}


@dataclass
class Results:
    files: dict[str, FileResult] = field(default_factory=dict)
    alive: dict[str, Survivor] = field(default_factory=dict)  # by name

    def verdict_of(self, mutation: Mutation) -> str | None:
        return self.files[mutation.file].verdicts.get(name_of(mutation))

    def note(self, mutation: Mutation, verdict: str) -> None:
        name = name_of(mutation)
        self.files[mutation.file].verdicts[name] = verdict
        self.alive.pop(name, None)
        if verdict in ("suspect", "survived"):
            self.alive[name] = _survivor_of(mutation)

    def totals(self) -> dict[str, int]:
        return dict(sum((Counter(its.counts()) for its in self.files.values()), Counter()))


def name_of(mutation: Mutation) -> str:
    """Of a mutant, among those of all files; the same as long as the lines it changes are."""
    text = json.dumps([*mutation.key, mutation.operator])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def read_results(path: Path) -> Results:
    if not path.exists():
        return Results()
    kept = json.loads(path.read_text())
    files = {file: _file_of(its) for file, its in kept["files"].items()}
    return Results(files, {name: Survivor(**its) for name, its in kept["alive"].items()})


def write_results(path: Path, results: Results) -> None:
    """All of it or nothing."""
    files = {
        file: its.counts() | {"source": its.source, "verdicts": dict(sorted(its.verdicts.items()))}
        for file, its in sorted(results.files.items())
    }
    alive = {name: asdict(its) for name, its in sorted(results.alive.items())}
    kept = {"total": results.totals(), "alive": alive, "files": files}
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(kept, indent=1) + "\n")
    fresh.replace(path)


def adopt(results: Results, mutations: Mapping[str, Sequence[Mutation]], project: Path) -> None:
    """Forgets what is known about sources that have changed; `mutations` by file."""
    for file, its in mutations.items():
        source = hashlib.sha256((project / file).read_bytes()).hexdigest()[:16]
        if file not in results.files or results.files[file].source != source:
            results.files[file] = FileResult(source, len(its))
    results.files = {file: results.files[file] for file in mutations}
    names = {name for its in results.files.values() for name in its.verdicts}
    results.alive = {name: its for name, its in results.alive.items() if name in names}


def _survivor_of(mutation: Mutation) -> Survivor:
    file, function, before, after, occurrence = mutation.key
    return Survivor(file, function, mutation.operator, before, after, occurrence)


def _file_of(kept: Mapping[str, Any]) -> FileResult:
    return FileResult(kept["source"], kept["mutants"], dict(kept["verdicts"]))
