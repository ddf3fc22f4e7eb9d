"""The planted bugs of tests/contracts/planted are still where they were, and their tests too."""

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.contracts.planted", "--check"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def test_every_planted_bug_has_its_place_and_its_test() -> None:
    done = check(PROJECT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_planted_bug_without_a_place_is_told(tmp_path: Path) -> None:
    for folder in ("contracts", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "tests/contracts").symlink_to(PROJECT / "tests/contracts")
    for source in PROJECT.glob("contracts/**/*.sol"):
        copy = tmp_path / source.relative_to(PROJECT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(source.read_text().replace("held.amount - bounty", "held.amount"))
    done = check(tmp_path)
    assert done.returncode == 1
    assert "found 0 times in contracts/ProviderRegistry.sol" in done.stdout
