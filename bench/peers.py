"""The libraries that benches compare with, from PyPI, each set in an environment of its own.

python -m bench.peers aggregation | round

Nothing of them enters the project's environment: their pins contradict ours. A set is installed
once, under .tools/peers-NAME; the stamp in it says what it was made from.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from commonweal.errors import CommonwealError

PROJECT = Path(__file__).parents[1]
TOOLS = PROJECT / ".tools"
_STAMP = ".installed"

Run = Callable[[list[str]], None]


class PeersNotInstalled(CommonwealError):
    code = "peers-not-installed"


@dataclass(frozen=True, slots=True)
class Peers:
    """What one environment holds. `alone`: installed without what it asks for.

    `stubs`: modules (path in site-packages, text) that stand in for what is imported and not used.
    """

    requirements: tuple[str, ...]
    alone: tuple[str, ...] = ()
    stubs: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        parts = (*self.requirements, *self.alone, *sorted(self.stubs.items()))
        return sha256(repr(parts).encode()).hexdigest()


# An open range of torch pulls in a CUDA build of several gigabytes.
_TORCH = "torch==2.13.0"
# byzfl asks for torchvision, which asks for CUDA. Its data loading, unused here, needs the names.
_MOCK = "from unittest.mock import MagicMock\n\ndatasets, transforms = MagicMock(), MagicMock()\n"
_TORCHVISION = {"torchvision/__init__.py": _MOCK}

PEERS: Mapping[str, Peers] = {
    "aggregation": Peers(
        ("flwr==1.41.0", _TORCH, "scipy", "matplotlib", "seaborn"), ("byzfl==0.0.11",), _TORCHVISION
    ),
    "round": Peers(("flwr[simulation]==1.41.0", _TORCH)),
}


def ensure_peers(name: str, *, tools: Path = TOOLS, run: Run | None = None) -> Path:
    """The environment's python executable. Installs what is not there: a minute, about 1.5 GB.

    Raises PeersNotInstalled, with the end of the installer's output.
    """
    peers = PEERS[name]
    home = tools / f"peers-{name}"
    with _locked(tools / f"peers-{name}.lock"):
        if not _is_installed(home, peers):
            shutil.rmtree(home, ignore_errors=True)  # half an installation, or another set's
            _install(home, peers, run or _run)
    return home / "bin" / "python"


def _is_installed(home: Path, peers: Peers) -> bool:
    stamp = home / _STAMP
    return stamp.is_file() and stamp.read_text() == peers.fingerprint


def _install(home: Path, peers: Peers, run: Run) -> None:
    run([sys.executable, "-m", "venv", str(home)])
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    run([*pip, *peers.requirements])
    if peers.alone:
        run([*pip, "--no-deps", *peers.alone])
    for path, text in peers.stubs.items():
        stub = _site_packages(home) / path
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.write_text(text)
    (home / _STAMP).write_text(peers.fingerprint)


def _site_packages(home: Path) -> Path:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return home / "lib" / version / "site-packages"


def _run(command: list[str]) -> None:
    # Our own packages must not be found from within the other environment.
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"{' '.join(command[-4:])} ended with status {done.returncode}"
        raise PeersNotInstalled(message, output=done.stderr[-2000:])


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two benches that start together install once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Prints the python executable of the set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(PEERS))
    print(ensure_peers(parser.parse_args().name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
