"""What this machine is: found, measured by a short benchmark, and declared by its operator."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping

import numpy as np

from commonweal.protocol.manifests import CapabilitiesManifest

_SIZE = 512
_SECONDS = 0.3


def measure_capabilities(declared: Mapping[str, str]) -> CapabilitiesManifest:
    return CapabilitiesManifest(
        hardware={
            "machine": platform.machine(),
            "system": platform.system(),
            "processors": os.cpu_count() or 1,
            "memory_mib": _memory_mib(),
        },
        measured={"matmul_gflops": _measure_matmul()},
        declared=dict(declared),
    )


def _memory_mib() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


def _measure_matmul() -> float:
    """Float32 products of two 512 by 512 matrices, in 10^9 operations per second."""
    a = np.ones((_SIZE, _SIZE), np.float32)
    began, runs = time.perf_counter(), 0
    while (seconds := time.perf_counter() - began) < _SECONDS or runs == 0:
        a @ a
        runs += 1
    return round(2 * _SIZE**3 * runs / seconds / 1e9, 1)
