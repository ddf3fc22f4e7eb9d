"""Which peer has which rule, what it needs, and the process it runs in."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bench.aggregation.inputs import Inputs, Timing
from commonweal.errors import CommonwealError

_SCRIPT = Path(__file__).with_name("peer.py")
_ENOUGH = 0.5  # of the memory that is available

# Copies of the inputs that a rule makes at its height, as seen; n: one per update.
_COPIES: dict[tuple[str, str], float] = {
    ("flwr", "weighted-mean"): 1.2,
    ("flwr", "mean"): 1.2,
    ("flwr", "median"): 2.2,
    ("flwr", "trimmed-mean"): 2.2,
    ("flwr", "krum"): 1.3,
    ("flwr", "multi-krum"): 2.3,
    ("byzfl", "mean"): 0.2,
    ("byzfl", "median"): 1.2,
    ("byzfl", "trimmed-mean"): 2.2,
    ("byzfl", "krum"): 2.2,
    ("byzfl", "multi-krum"): 3.2,
    ("byzfl", "geometric-median"): 3.2,
    ("byzfl", "centred-clipping"): 4.2,
}
_QUADRATIC = ("krum", "multi-krum", "neighbours+trimmed-mean")
PEERS = ("flwr", "byzfl")


class PeerFailed(CommonwealError):
    code = "peer-failed"


@dataclass(slots=True)
class Peer:
    process: subprocess.Popen[str]

    def run(self, peer: str, rule: str, attackers: int) -> tuple[Timing, list[float]]:
        """Its time, and a hundred numbers of the result."""
        answer = self._ask({"peer": peer, "rule": rule, "attackers": attackers})
        return Timing(answer["seconds"], answer["cpu"]), answer["sample"]

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        print(json.dumps(question), file=stdin, flush=True)
        answer: dict[str, Any] = json.loads(_line(stdout))
        return answer


def _line(stdout: IO[str]) -> str:
    line = stdout.readline()
    if not line:
        raise PeerFailed("the peer's process ended")
    return line


@contextmanager
def start_peer(python: Path, inputs: Inputs, scores: Sequence[int]) -> Iterator[Peer]:
    """A process that has read the inputs. Ended on the way out."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    with subprocess.Popen(
        [str(python), "-W", "ignore", str(_SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    ) as process:
        try:
            peer = Peer(process)
            files = [str(path) for path in inputs.files]
            peer._ask({"files": files, "params": inputs.params, "scores": list(scores)})
            yield peer
        finally:
            process.kill()


def has_rule(peer: str, rule: str) -> bool:
    return (peer, rule) in _COPIES or (peer, rule) == ("byzfl", "neighbours+trimmed-mean")


def why_not(
    peer: str, rule: str, inputs: Inputs, attackers: int, known: float | None, most_seconds: float
) -> str | None:
    """Why a case is left out, if it is. `known`: GB/s × (n if quadratic) of a smaller case."""
    count = len(inputs.files)
    copies = _COPIES.get((peer, rule), 2.0 * (count - attackers))
    need, room = (1 + copies) * inputs.bytes, _ENOUGH * available_bytes()
    if need > room:
        return f"needs about {need / 1e9:.1f} GB of memory, {room / 1e9:.1f} are to spare"
    if known is not None and (seconds := inputs.bytes / 1e9 / expect(rule, known, count)):
        return f"would take about {seconds:.0f} s" if seconds > most_seconds else None
    return None


def normalise(rule: str, gbps: float, count: int) -> float:
    """Distances grow with n²: so throughput times n is what carries over to another n."""
    return gbps * count if rule in _QUADRATIC else gbps


def expect(rule: str, known: float, count: int) -> float:
    return known / count if rule in _QUADRATIC else known


def available_bytes() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("MemAvailable"))
    return 1024 * int(kilobytes)
