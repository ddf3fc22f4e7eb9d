"""What the bench left in its folder: the task, each trainer's data, and room for time stamps.

Runs in Flower's environment, where nothing of ours is installed.
"""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

FOLDER = Path(os.environ["BENCH_ROUND_FOLDER"])


def load_task() -> dict[str, Any]:
    task: dict[str, Any] = json.loads((FOLDER / "task.json").read_text())
    return task


def build_model(task: dict[str, Any]) -> nn.Sequential:
    torch.set_num_threads(1)
    torch.manual_seed(task["seed"])
    sizes = [task["inputs"], *task["hidden"]]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], task["classes"]))


def train(model: nn.Module, task: dict[str, Any], trainer: int) -> int:
    """The task's steps on the trainer's part; returns its samples."""
    with np.load(FOLDER / f"part-{trainer}.npz", allow_pickle=False) as part:
        x, y = torch.from_numpy(part["x"]), torch.from_numpy(part["y"])
    optimiser = torch.optim.SGD(model.parameters(), task["learning_rate"])
    order = torch.randperm(len(x)).repeat(task["steps"] * task["batch_size"] // len(x) + 1)
    for step in range(task["steps"]):
        rows = order[step * task["batch_size"] :][: task["batch_size"]]
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), task["clip_norm"])
        optimiser.step()
    return len(x)
