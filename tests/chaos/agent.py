"""An agent whose clock may be wrong: `agent.py CONFIG SECONDS`, more than 0 if it is fast.

Its timers go on as they should: they run on the monotonic clock, which nobody sets. Its training is
seeded as in a network's first job, whatever the job's number, so that jobs can be compared.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from node_agent import duties
from node_agent.cli import start
from node_agent.logs import configure_logging
from node_agent.trainer import derive_seed


def skew(seconds: float) -> None:
    def moved(clock: Callable[[], float]) -> Callable[[], float]:
        return lambda: clock() + seconds

    time.time = moved(time.time)


if __name__ == "__main__":
    configure_logging()
    skew(float(sys.argv[2]))
    duties.derive_seed = lambda spec, purpose, _job, *place: derive_seed(spec, purpose, 1, *place)
    start(Path(sys.argv[1]), direct=False)
