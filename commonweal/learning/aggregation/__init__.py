"""The next model from the parent and the verified updates, exact to the bit. Numpy only."""

from commonweal.learning.aggregation.aggregate import (
    NothingToAggregate,
    ScoredUpdate,
    advance,
    aggregate,
    compute_norm,
)
from commonweal.learning.aggregation.server import GlobalModel, moment_shapes

__all__ = [
    "GlobalModel",
    "NothingToAggregate",
    "ScoredUpdate",
    "advance",
    "aggregate",
    "compute_norm",
    "moment_shapes",
]
