"""What a requester runs works without the packages that only nodes need."""

from __future__ import annotations

import subprocess
import sys

import pytest

from commonweal.extras import ExtraMissing, require_extra

WITHOUT = """
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "sklearn", "scipy", "pyarrow"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
"""


@pytest.mark.parametrize(
    "program",
    [
        "from commonweal import AsyncClient, Client",
        "import commonweal.verification.collect, commonweal.learning.aggregation",
        "import service.server, service.cli",
        "import node_agent.cli, node_agent.runtime, node_agent.judging",
        "from commonweal.cli import main; sys.argv = ['weal', 'verify', '--help']; main()",
    ],
)
def test_no_import_of_what_only_nodes_need(program: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT + program], capture_output=True, text=True, timeout=100
    )
    assert run.returncode == 0, run.stderr


def test_an_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ExtraMissing) as caught:
        require_extra("pyarrow")
    assert caught.value.details == {"module": "pyarrow", "extra": "node"}
    assert "commonweal[node]" in caught.value.message


def test_an_extra_that_is_there_is_found_without_importing_it() -> None:
    assert (require_extra("sklearn") / "datasets").is_dir()
