"""A log that finds no room stops nobody."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_LOGGED = """
import resource, sys
from {module} import {configure}
{configure}({arguments})
import structlog
log = structlog.get_logger()
log.info("before")
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
for _ in range(1000):
    log.info("lost " + 100 * "x")
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
log.info("after")
print("went on")
"""


@pytest.mark.parametrize(
    ("module", "configure", "arguments"),
    [("node_agent.logs", "configure_logging", ""), ("service.logs", "configure_logs", '"json"')],
)
def test_a_full_disk_costs_lines_and_nothing_else(
    tmp_path: Path, module: str, configure: str, arguments: str
) -> None:
    program = _LOGGED.format(module=module, configure=configure, arguments=arguments)
    path = tmp_path / "log"
    with path.open("wb") as log:
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=log, check=False
        )
    assert done.stdout == b"went on\n"
    text = path.read_text()
    assert "before" in text
    assert "after" in text
