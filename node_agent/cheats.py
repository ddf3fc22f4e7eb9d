"""The same agent with a dishonest trainer, for the demonstration and the tests of what cheats earn.

python -m node_agent.cheats --behaviour sign-flip|noise --config node.yaml
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from commonweal.learning.data import Dataset
from commonweal.learning.training import TrainingResult, train
from commonweal.learning.weights import Weights
from commonweal.protocol.specs import JobSpec
from node_agent.cli import exit_with, start
from node_agent.trainer import Trainer

_FLIP = np.float32(3.0)
_NOISE = 0.05  # of the model's own norm: about what a round of training moves it by


class Behaviour(StrEnum):
    SIGN_FLIP = "sign-flip"
    NOISE = "noise"


class SignFlipTrainer:
    """Trains honestly, then sends the opposite, several times as large."""

    def train(self, spec: JobSpec, parent: Weights, data: Dataset, *, seed: int) -> TrainingResult:
        honest = train(spec, parent, data, seed=seed)
        flipped = {
            name: parent[name] - _FLIP * (tensor - parent[name])
            for name, tensor in honest.weights.items()
        }
        return TrainingResult(flipped, honest.samples, honest.loss, honest.accuracy)


class NoiseTrainer:
    """Trains nothing: noise as large as an honest update, with a believable claim beside it."""

    def train(self, spec: JobSpec, parent: Weights, data: Dataset, *, seed: int) -> TrainingResult:
        generator = np.random.Generator(np.random.PCG64(seed))
        noise = {
            name: generator.standard_normal(tensor.shape).astype(np.float32)
            for name, tensor in parent.items()
        }
        scale = np.float32(_NOISE * max(_norm(parent), 1.0) / _norm(noise))
        return TrainingResult(
            {name: parent[name] + scale * noise[name] for name in parent}, len(data), 0.5, 0.9
        )


TRAINERS: dict[Behaviour, Trainer] = {
    Behaviour.SIGN_FLIP: SignFlipTrainer(),
    Behaviour.NOISE: NoiseTrainer(),
}


def _norm(weights: Weights) -> float:
    squares = (float(np.square(tensor, dtype=np.float64).sum()) for tensor in weights.values())
    return float(np.sqrt(sum(squares)))


def cheat(
    behaviour: Annotated[Behaviour, typer.Option(help="How this node cheats.")],
    config: Annotated[Path, typer.Option(help="The node's configuration file.")],
    direct: Annotated[bool, typer.Option(help="Send own transactions only.")] = False,
) -> None:
    """Run a node that cheats. Its stake is at risk; that is the point."""
    with exit_with():
        start(config, direct=direct, trainer=TRAINERS[behaviour])


if __name__ == "__main__":
    typer.run(cheat)
