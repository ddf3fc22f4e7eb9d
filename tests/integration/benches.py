"""Benches as a reader starts them: `python -m bench.NAME …` at the top of the checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def start_bench(name: str, *arguments: object, timeout: float) -> subprocess.CompletedProcess[str]:
    """Waits `timeout` seconds at most; whatever its exit status."""
    command = [sys.executable, "-m", f"bench.{name}", *map(str, arguments)]
    return subprocess.run(
        command, cwd=CHECKOUT, capture_output=True, text=True, timeout=timeout, check=False
    )


def run_bench(name: str, *arguments: object, timeout: float) -> str:
    """What it prints; it must succeed."""
    done = start_bench(name, *arguments, timeout=timeout)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
