"""Flower's side: its deployment engine with a process per SuperNode, and its simulation engine.

Both run the app in `flower_app`, in an environment of their own (`bench.peers`).
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from bench.round.task import Task
from commonweal.adapters.local_chain import HOST
from commonweal.devnet.processes import Child, interruptible, stop_all
from commonweal.learning.data import load_dataset

APP = Path(__file__).parent / "flower_app"
_START_SECONDS, _ROUND_SECONDS = 120.0, 600.0


class FlowerFailed(RuntimeError):
    """Flower did not get through its rounds; the message ends with what it printed last."""


def run_deployment(python: Path, task: Task, *, warm_up: int, rounds: int) -> list[float]:
    """Seconds of each round after `warm_up`: a SuperLink and a SuperNode per trainer."""
    with _folder(task, warm_up + rounds) as folder, interruptible(), ExitStack() as stack:
        environment = _environment(python, folder)
        superlink, children = _start_network(python, task, folder, environment)
        stack.callback(stop_all, children)
        _submit(python, superlink, folder, environment)
        return _wait_for_rounds(folder, warm_up, rounds, children)


def run_simulation(python: Path, task: Task, *, warm_up: int, rounds: int) -> list[float]:
    """Seconds of each round after `warm_up`."""
    with _folder(task, warm_up + rounds) as folder, interruptible(), ExitStack() as stack:
        command = [str(python), str(APP / "simulate.py")]
        child = _Program("simulation", command, folder, _environment(python, folder))
        stack.callback(stop_all, [child])
        child.start()
        return _wait_for_rounds(folder, warm_up, rounds, [child])


class _Program(Child):
    def __init__(
        self, name: str, command: list[str], folder: Path, environment: dict[str, str]
    ) -> None:
        (folder / name).mkdir()
        settings = [f"{key}={value}" for key, value in environment.items()]
        super().__init__(name, ["/usr/bin/env", *settings, *command], folder / name)

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]


def _start_network(
    python: Path, task: Task, folder: Path, environment: dict[str, str]
) -> tuple[str, list[_Program]]:
    tools = python.parent
    superlink = f"{HOST}:{(port := _find_port())}"
    listen = ["--insecure", "--host", HOST, "--port", str(port)]
    fixed = "--disable-runtime-dependency-installation"
    command = [str(tools / "flower-superlink"), *listen, fixed]
    children = [_Program("superlink", command, folder, environment)]
    children[0].start()
    _wait_until_listening(port, children[0])
    for index in range(task.trainers):
        node = ["--insecure", "--superlink", superlink, "--port", str(_find_port())]
        config = f"partition-id={index} num-partitions={task.trainers}"
        command = [str(tools / "flower-supernode"), *node, "--node-config", config]
        children.append(_Program(f"supernode-{index}", command, folder, environment))
        children[-1].start()
    return superlink, children


def _submit(python: Path, superlink: str, folder: Path, environment: dict[str, str]) -> None:
    home = Path(environment["FLWR_HOME"])
    home.mkdir(exist_ok=True)
    connection = f'[superlink]\ndefault = "bench"\n\n[superlink.bench]\naddress = "{superlink}"\n'
    (home / "config.toml").write_text(connection + "insecure = true\n")
    command = [str(python.parent / "flwr"), "run", str(folder / "app"), "bench"]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise FlowerFailed(f"flwr run: {(done.stdout + done.stderr)[-2000:]}")


def _wait_for_rounds(
    folder: Path, warm_up: int, rounds: int, children: list[_Program]
) -> list[float]:
    """Raises FlowerFailed when a program ends early or nothing comes for ten minutes."""
    stamps, seen, moved = folder / "stamps", 0, time.monotonic()
    while seen < warm_up + rounds:
        time.sleep(0.2)
        lines = stamps.read_text().splitlines() if stamps.exists() else []
        if len(lines) > seen:
            seen, moved = len(lines), time.monotonic()
        late = time.monotonic() - moved > _ROUND_SECONDS
        if late or any(child.wait(0) for child in children if seen < warm_up + rounds):
            ends = "\n".join(f"{child.name}: {child.tail()}" for child in children[:2])
            raise FlowerFailed(f"{seen} rounds of {warm_up + rounds}\n{ends}")
    return read_stamps(stamps.read_text(), warm_up)


def read_stamps(text: str, warm_up: int) -> list[float]:
    """Seconds between the ends of rounds from the `warm_up`-th on (1 or more)."""
    ends = [float(line.split()[1]) for line in text.splitlines()]
    return [right - left for left, right in itertools.pairwise(ends[warm_up - 1 :])]


@contextmanager
def _folder(task: Task, rounds: int) -> Iterator[Path]:
    """Task, data and app, as Flower's programs find them."""
    folder = Path(tempfile.mkdtemp(prefix="bench-flower-"))
    try:
        training = task.spec.training
        shutil.copytree(APP, folder / "app")
        document = {
            "inputs": 64,
            "hidden": list(task.hidden),
            "classes": 10,
            "seed": task.seed,
            "trainers": task.trainers,
            "rounds": rounds,
            "learning_rate": training.learning_rate,
            "steps": training.steps,
            "batch_size": training.batch_size,
            "clip_norm": training.clip_norm,
        }
        (folder / "task.json").write_text(json.dumps(document))
        for index in range(task.trainers):
            part = load_dataset(task.data_source(index), task.spec.data).train
            np.savez(folder / f"part-{index}.npz", x=part.x, y=part.y)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _environment(python: Path, folder: Path) -> dict[str, str]:
    return {
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(APP),
        "BENCH_ROUND_FOLDER": str(folder),
        "FLWR_HOME": str(folder / "home"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
    }


def _find_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_listening(port: int, child: _Program) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and not child.wait(0):
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
            continue
        return
    raise FlowerFailed(f"{child.name} does not listen: {child.tail()}")
