"""What deploy/ says fits the programs: settings that exist, commands that are there."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from service.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
PREFIX = "WEAL_COORDINATOR_"


def test_the_compose_file_sets_what_there_is() -> None:
    document = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    coordinators = [each for name, each in document["services"].items() if "coordinator" in name]
    assert len(coordinators) == 2
    for coordinator in coordinators:
        names = [name for name in coordinator["environment"] if name.startswith(PREFIX)]
        assert {name.removeprefix(PREFIX).lower() for name in names} <= set(Settings.model_fields)
        assert (ROOT / "deploy" / coordinator["build"]["context"] / "deploy/Dockerfile").is_file()


def test_the_units_start_programs_that_are_installed() -> None:
    scripts = (ROOT / "pyproject.toml").read_text()
    units = list((ROOT / "deploy/systemd").glob("*.service"))
    assert len(units) == 2
    for unit in units:
        found = re.search(r"^ExecStart=([\w-]+) run", unit.read_text(), re.MULTILINE)
        assert found is not None
        assert f"\n{found[1]} = " in scripts
