"""A node that attests a model of its own making. Its only argument is a configuration file."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from commonweal.learning.aggregation import GlobalModel
from commonweal.learning.weights import Weights
from commonweal.protocol.specs import JobSpec
from node_agent import duties
from node_agent.cli import start
from node_agent.models import VerifiedUpdate, compute_next_model


def compute_another_model(
    spec: JobSpec,
    parent: GlobalModel,
    verified: Sequence[VerifiedUpdate],
    deltas: Mapping[int, Weights],
) -> GlobalModel:
    honest = compute_next_model(spec, parent, verified, deltas)
    moved = {name: tensor + np.float32(0.5) for name, tensor in honest.weights.items()}
    return GlobalModel(moved, honest.moments)


if __name__ == "__main__":
    duties.compute_next_model = compute_another_model
    start(Path(sys.argv[1]), direct=True)
