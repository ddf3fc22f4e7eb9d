"""How much memory an aggregation takes: run in a process of its own that may not have more.

python -m bench.aggregation.memory FOLDER RULE LIMIT_MIB prints a line of JSON.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.aggregation.inputs import Inputs, map_updates
from bench.aggregation.ours import RULES, THREADS, zeros
from commonweal.errors import CommonwealError
from commonweal.learning.aggregation import aggregate

MIB = 2**20
LIMIT_MIB = 2048


class MemoryRunFailed(CommonwealError):
    code = "memory-run-failed"


def measure_memory(folder: Path, rule: str, limit_mib: int = LIMIT_MIB) -> dict[str, Any]:
    """Peak MiB and seconds over the updates in `folder`. Raises MemoryRunFailed."""
    command = [sys.executable, "-m", "bench.aggregation.memory", str(folder), rule, str(limit_mib)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MemoryRunFailed(f"{rule} failed within {limit_mib} MiB", output=done.stderr[-2000:])
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def _run(folder: Path, rule: str, limit_mib: int) -> dict[str, Any]:
    # Memory of the process's own: heap, stacks, anonymous maps. Not the kernel's cache of files.
    resource.setrlimit(resource.RLIMIT_DATA, (limit_mib * MIB, limit_mib * MIB))
    files = tuple(sorted(folder.glob("*.f32")))
    inputs = Inputs(files, files[0].stat().st_size // 4)
    updates = map_updates(inputs)
    began = time.perf_counter()
    model = aggregate(RULES[rule], zeros(updates), updates, threads=THREADS)
    seconds = time.perf_counter() - began
    assert all(np.isfinite(tensor).all() for tensor in model.values())
    return {
        "rule": rule,
        "n": len(files),
        "params": inputs.params,
        "input_mib": inputs.bytes // MIB,
        "limit_mib": limit_mib,
        "peak_rss_mib": _peak_resident_mib(),
        "seconds": round(seconds, 2),
    }


def _peak_resident_mib() -> int:
    """Mapped pages included. Not getrusage's: that starts at the parent process's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(kilobytes) // 1024


if __name__ == "__main__":
    print(json.dumps(_run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
