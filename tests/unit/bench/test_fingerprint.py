from pathlib import Path

from bench import fingerprint
from bench.fingerprint import fingerprint_judging


def test_another_state_of_the_code_is_another_fingerprint(tmp_path: Path) -> None:
    first, second = tmp_path / "first.py", tmp_path / "second.py"
    first.write_text("a = 1\n")
    second.write_text("b = 2\n")
    before = fingerprint_judging([first, second])
    assert before == fingerprint_judging([second, first])
    assert before != fingerprint_judging([first])
    second.write_text("b = 3\n")
    assert fingerprint_judging([first, second]) != before


def test_a_change_of_scoring_is_seen(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(fingerprint, "_ROOT", tmp_path)
    scoring = tmp_path / "commonweal" / "learning" / "aggregation" / "rule.py"
    scoring.parent.mkdir(parents=True)
    scoring.write_text("rule = 1\n")
    before = fingerprint_judging([])
    scoring.write_text("rule = 2\n")
    assert fingerprint_judging([]) != before
