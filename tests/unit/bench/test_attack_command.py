"""The attack lab's command around the runs: which it asks for, and what it keeps of them where."""

import json
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bench.attacks import __main__ as command
from bench.attacks.__main__ import Run, main
from bench.attacks.network import Result

RESULT = Result(0.9, 0.0, 0.99, 0.0, 0.7, -0.2)
ARGUMENTS = ("--quick", "--json", "--attack", "alie", "sybil")


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """What was run, each with the same result and in no time."""
    runs: list[Run] = []

    def execute(missing: Sequence[Run], options: Namespace) -> Iterator[tuple[Run, Result]]:
        for run in missing:
            runs.append(run)
            yield run, RESULT

    monkeypatch.setattr(command, "_execute", execute)
    return runs


def test_rows_are_kept_in_a_folder_that_was_not_there(
    tmp_path: Path, executed: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "results"
    assert main([*ARGUMENTS, "--out", str(folder)]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["attack"] for row in rows] == ["alie", "sybil"]
    assert json.loads((folder / "attacks.json").read_text()) == rows
    assert [run.attack for run in executed] == [None, None, "alie", "sybil"]


def test_what_is_kept_is_not_run_again_unless_asked_for_or_the_code_has_changed(
    tmp_path: Path, executed: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        main([*ARGUMENTS, "--out", str(tmp_path)])
    assert len(executed) == 4
    main([*ARGUMENTS, "--out", str(tmp_path), "--fresh"])
    assert len(executed) == 8
    monkeypatch.setattr(command, "fingerprint_judging", lambda sources: "another state")
    main([*ARGUMENTS, "--out", str(tmp_path)])
    assert len(executed) == 12
