"""Chaos runs are told apart by their seeds, go on where they stopped, and are counted rightly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.chaos.faults import FAULTS, PHASES
from tests.chaos.findings import Findings
from tests.chaos.runs import UNDISTURBED, Book, Run, is_good, make_plan

GOOD = Findings(finished=True, model="m", wei_lost=0, slashes=0, duplicates=0, lost=0)
EVERY = 2 * len(FAULTS) * len(PHASES)


def make_run(seed: int, found: Findings | None = GOOD) -> Run:
    return Run(seed, make_plan(seed).name, 1.0, found, "" if found else "it hung\nlogs")


def test_consecutive_seeds_meet_every_fault_in_every_phase_of_both_rounds() -> None:
    assert EVERY >= 100
    assert len({make_plan(seed).name for seed in range(EVERY)}) == EVERY
    assert make_plan(17) == make_plan(17)
    assert make_plan(UNDISTURBED).fault is None


def test_runs_are_kept_and_one_that_is_made_again_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "chaos.json"
    book = Book(path)
    for run in (make_run(UNDISTURBED), make_run(4), make_run(2, None)):
        book.note(run)
    again = Book(path)
    assert again.runs == book.runs
    assert "FAILED: it hung" in again.describe(again.runs[2])
    again.note(make_run(2))
    assert Book(path).runs[2].found == GOOD
    assert sorted(Book(path).runs) == [UNDISTURBED, 2, 4]


def test_whatever_is_wrong_in_one_run_makes_the_whole_bad() -> None:
    bad = [
        replace(GOOD, finished=False),
        replace(GOOD, model="other"),
        replace(GOOD, model=None),
        replace(GOOD, wei_lost=1),
        replace(GOOD, slashes=1),
        replace(GOOD, duplicates=1),
        replace(GOOD, lost=1),
        None,
    ]
    for found in bad:
        book = Book(None)
        for run in (make_run(UNDISTURBED), make_run(0), make_run(1, found)):
            book.note(run)
        assert is_good(book.summarise([0]))
        assert not is_good(book.summarise([0, 1]))
    assert book.summarise([0, 1])["runs"] == 2
