"""Which runs there are, what became of each, and the file that keeps it: they come in pieces."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from commonweal.protocol.types import Phase
from tests.chaos.faults import FAULTS, PHASES, Fault
from tests.chaos.findings import Findings

UNDISTURBED = -1


@dataclass(frozen=True)
class Plan:
    """What a seed says; without a fault, the undisturbed run."""

    seed: int
    fault: Fault | None
    round: int
    phase: Phase

    @property
    def name(self) -> str:
        if self.fault is None:
            return "undisturbed"
        return f"{self.fault.name}, {self.phase.name.lower()} of round {self.round}"


def make_plan(seed: int) -> Plan:
    """Consecutive seeds go through all faults, then phases, then rounds."""
    if seed == UNDISTURBED:
        return Plan(seed, None, 1, Phase.NONE)
    rest, fault = divmod(seed, len(FAULTS))
    rest, phase = divmod(rest + fault, len(PHASES))
    return Plan(seed, FAULTS[fault], 1 + rest % 2, PHASES[phase])


@dataclass(frozen=True)
class Run:
    """`error`: why it did not come to its end, if it did not."""

    seed: int
    name: str
    seconds: float
    found: Findings | None
    error: str = ""


class Book:
    """Runs by seed. Without a path it is forgotten at the end."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.runs: dict[int, Run] = {}
        if path is not None and path.exists():
            self.runs = {run.seed: run for run in map(_read, json.loads(path.read_text()))}

    def has(self, seed: int) -> bool:
        """One that did not come to its end is made again."""
        return seed in self.runs and self.runs[seed].found is not None

    def note(self, run: Run) -> None:
        self.runs[run.seed] = run
        if self._path is None:
            return
        rows = [json.dumps(asdict(self.runs[seed])) for seed in sorted(self.runs)]
        partial = self._path.with_suffix(".partial")
        partial.write_text("[\n" + ",\n".join(rows) + "\n]\n")
        os.replace(partial, self._path)

    @property
    def model(self) -> str | None:
        """Of the undisturbed run."""
        run = self.runs.get(UNDISTURBED)
        return None if run is None or run.found is None else run.found.model

    def describe(self, run: Run) -> str:
        start = f"{run.seed:4}  {run.name:48} {run.seconds:5.0f} s"
        found = run.found
        if found is None:
            return f"{start}  FAILED: {run.error.splitlines()[0]}"
        return (
            f"{start}  finished {found.finished}, same model {self._is_same(found)}, "
            f"wei lost {found.wei_lost}, slashes {found.slashes}, "
            f"duplicates {found.duplicates}, lost {found.lost}"
        )

    def summarise(self, seeds: Iterable[int]) -> dict[str, int]:
        runs = [self.runs[seed] for seed in seeds if seed in self.runs]
        ended = [run.found for run in runs if run.found is not None]
        return {
            "runs": len(runs),
            "jobs_finished": sum(found.finished for found in ended),
            "model_cid_mismatches": sum(not self._is_same(found) for found in ended),
            "wei_lost": sum(found.wei_lost for found in ended),
            "unjust_slashes": sum(found.slashes for found in ended),
            "duplicate_transactions": sum(found.duplicates for found in ended),
            "messages_lost": sum(found.lost for found in ended),
        }

    def _is_same(self, found: Findings) -> bool:
        return found.model is not None and found.model == self.model


def is_good(summary: dict[str, int]) -> bool:
    counted = dict(summary)
    return counted.pop("runs") == counted.pop("jobs_finished") and not any(counted.values())


def _read(row: dict[str, Any]) -> Run:
    found = row.pop("found")
    return Run(**row, found=None if found is None else Findings(**found))
