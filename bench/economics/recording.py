"""Jobs played once by the real training and scoring code, so that thousands of rounds can use them.

A recording holds what every member, asked as a judge, says about every update of every round.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.attacks.network import Network, Plan
from bench.attacks.tasks import Task, make_task
from bench.fingerprint import fingerprint_judging
from bench.workers import open_pool
from commonweal.learning.scoring import Candidate, ScoringMemory, recall_round, score_updates
from commonweal.protocol.types import Address, Score
from commonweal.protocol.verdicts import tally

TRAINER_COUNT = 12
ALPHA = 0.5  # of the Dirichlet distribution that deals out the data

Ballots = NDArray[np.uint16]
_Fault = Literal["unavailable", "invalid"]
_FAULTS: dict[str, _Fault] = {"unavailable": "unavailable", "invalid": "invalid"}


@dataclass(frozen=True, slots=True, order=True)
class Scene:
    """`content`: an attack of the lab, `unavailable`, `invalid`, or `nothing` (cheats are away)."""

    content: str
    cheats: int  # of the twelve trainers
    seed: int
    rounds: int

    @property
    def attack(self) -> str | None:
        return None if self.content in {"nothing", *_FAULTS} else self.content


@dataclass(frozen=True, slots=True)
class Recording:
    """`ballots` (rounds, judges, updates): honest trainers are 0 … n−cheats−1, cheats the last."""

    scene: Scene
    ballots: Ballots

    @property
    def honest(self) -> int:
        return TRAINER_COUNT - self.scene.cheats


class Recorder(Network):
    """The attack lab's network, in which all members say what they think, not only the drawn."""

    def __init__(self, task: Task, scene: Scene) -> None:
        super().__init__(task, Plan(scene.attack, scene.cheats, 0, "constant", scene.seed))
        self.fault = _FAULTS.get(scene.content)
        self.order = [*self.honest, *self.attackers]
        self.rows: list[Ballots] = []

    def _judge(
        self, round_: int, committee: Sequence[int], candidates: Sequence[Candidate]
    ) -> dict[int, Score]:
        """Only those drawn remember, as in a real job; the others are asked and forget."""
        offered = [*candidates, *self._faulty()]
        views = {judge: self._ask(round_, judge, offered, committee) for judge in self.order}
        self.rows.append(_as_matrix(views, self.order))
        members = sorted(candidate.member for candidate in offered)
        ballots = {
            seat: [views[judge][member] for member in members]
            for seat, judge in enumerate(committee)
        }
        return dict(zip(members, tally(members, committee, ballots).scores, strict=True))

    def _faulty(self) -> list[Candidate]:
        if self.fault is None:
            return []
        return [Candidate(m, Address(f"0x{m + 1:040x}"), None, self.fault) for m in self.attackers]

    def _ask(
        self, round_: int, judge: int, offered: Sequence[Candidate], committee: Sequence[int]
    ) -> dict[int, Score]:
        memory = self.memories.get(judge)
        memory = memory or ScoringMemory(key=_derive(self.plan.seed, judge))
        if self._before is not None:
            memory = recall_round(memory, *self._before)
        spec, part = self.task.spec, self.task.parts[judge]
        seed = _derive(self.plan.seed, judge, round_)
        ballot, after = score_updates(spec, self.model, offered, part, memory, seed=seed)
        if judge in committee:
            self.memories[judge] = after
        return ballot


def record(scene: Scene) -> Recording:
    """Half a minute for twenty rounds."""
    task = make_task("digits", ALPHA, scene.seed, TRAINER_COUNT, None)
    recorder = Recorder(task, scene)
    for round_ in range(1, scene.rounds + 1):
        recorder._play(round_)
    return Recording(scene, np.stack(recorder.rows))


def find_cache(folder: Path) -> Path:
    """A file per state of the code: what other code said about updates is not used."""
    lab = (Path(__file__).parents[1] / "attacks").glob("*.py")
    return folder / f"economics-ballots-{fingerprint_judging([Path(__file__), *lab])}.npz"


def collect(scenes: Sequence[Scene], cache: Path, jobs: int) -> dict[Scene, Recording]:
    """Reads what `cache` has, records the rest, and keeps it there."""
    kept = _read(cache)
    missing = [scene for scene in sorted(set(scenes)) if scene not in kept]
    with open_pool(jobs) as pool:
        for recording in pool.map(record, missing):
            kept[recording.scene] = recording
            _write(cache, kept)
    return {scene: kept[scene] for scene in scenes}


def _read(cache: Path) -> dict[Scene, Recording]:
    if not cache.exists():
        return {}
    with np.load(cache, allow_pickle=False) as arrays:
        return {_parse(name): Recording(_parse(name), arrays[name]) for name in arrays.files}


def _write(cache: Path, recordings: dict[Scene, Recording]) -> None:
    arrays = {
        f"{s.content} {s.cheats} {s.seed} {s.rounds}": its.ballots for s, its in recordings.items()
    }
    np.savez_compressed(cache, **arrays)  # type: ignore[arg-type]


def _parse(name: str) -> Scene:
    content, *numbers = name.split(" ")
    return Scene(content, *map(int, numbers))


def _as_matrix(views: dict[int, dict[int, Score]], order: Sequence[int]) -> Ballots:
    """Zero for whoever sent nothing: nobody asks for it."""
    rows = [[views[judge].get(member, 0) for member in order] for judge in order]
    return np.array(rows, np.uint16)


def _derive(*parts: int) -> int:
    text = " ".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:7])
