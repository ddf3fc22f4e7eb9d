"""`pip install .` into an empty environment: the commands work, nothing of a node's is pulled."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]
ONLY_FOR_NODES = {"torch", "scikit-learn", "pyarrow", "scipy"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that holds the package and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    source.mkdir()
    names = _run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in names.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    _run(sys.executable, "-m", "venv", str(folder / "venv"))
    bin_ = folder / "venv" / "bin"
    _run(str(bin_ / "python"), "-m", "pip", "install", "--quiet", str(source))
    return bin_


@pytest.mark.parametrize("command", ["weal", "weal-node", "weal-coordinator"])
def test_the_commands_are_there(installed: Path, command: str) -> None:
    assert "Usage" in _run(str(installed / command), "--help", cwd=installed)


def test_nothing_of_a_node_is_pulled(installed: Path) -> None:
    packages = _run(str(installed / "python"), "-m", "pip", "list", "--format=freeze")
    assert ONLY_FOR_NODES.isdisjoint(line.partition("==")[0] for line in packages.splitlines())


def test_the_contracts_and_the_migrations_come_with_it(installed: Path) -> None:
    program = (
        "from service.database import migrate, open_engine; migrate(open_engine('sqlite://'));"
        "import commonweal, pathlib;"
        "print(len(list((pathlib.Path(commonweal.__file__).parent / 'abi').glob('*.json'))))"
    )
    counted = int(_run(str(installed / "python"), "-c", program, cwd=installed))
    assert counted == len(list((ROOT / "commonweal" / "abi").glob("*.json")))


def test_a_job_file_is_read_without_torch(installed: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / "digits.yaml", tmp_path)
    program = (
        "from pathlib import Path; from commonweal.jobfile import load_job_file;"
        "print(load_job_file(Path('digits.yaml')).spec.name)"
    )
    assert _run(str(installed / "python"), "-c", program, cwd=tmp_path).strip()


def _run(*command: str, cwd: Path | None = None) -> str:
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run(command, cwd=cwd, env=alone, capture_output=True, text=True, timeout=500)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout
