"""A network that was left running: the note of its processes, and how it is stopped again."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from commonweal.devnet.processes import STOP_SECONDS
from commonweal.errors import NotFound

FILE = "network.json"


class NoNetwork(NotFound):
    code = "no-network"


def write_note(folder: Path, addresses: Mapping[str, str], pids: Mapping[str, int]) -> None:
    processes = {name: {"pid": pid, "started": _read_start(pid)} for name, pid in pids.items()}
    note = {"addresses": dict(addresses), "processes": processes}
    (folder / FILE).write_text(json.dumps(note, indent=2) + "\n")


def stop_network(folder: Path) -> list[str]:
    """End what `write_note` named, by process group; the names of those that were running.

    A process is only signalled while it is the one noted: its start time must be the same.
    Raises NoNetwork.
    """
    path = folder / FILE
    if not path.is_file():
        raise NoNetwork(f"{folder} holds no network that was left running", path=str(path))
    processes: dict[str, dict[str, Any]] = json.loads(path.read_text())["processes"]
    running = [name for name, each in processes.items() if _is_running(each)]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for name in running:
            if _is_running(processes[name]):
                os.killpg(processes[name]["pid"], number)
        _wait([processes[name] for name in running])
    path.unlink()
    return running


def _wait(processes: list[dict[str, Any]]) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline and any(_is_running(each) for each in processes):
        time.sleep(0.05)


def _is_running(process: dict[str, Any]) -> bool:
    started = _read_start(process["pid"])
    return started is not None and started == process["started"]


def _read_start(pid: int) -> str | None:
    """The kernel's start time of a process; None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]
