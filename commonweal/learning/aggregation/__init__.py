"""The next model from the parent and the verified updates, exact to the bit. Numpy only."""

from commonweal.learning.aggregation.aggregate import (
    NothingToAggregate,
    ScoredUpdate,
    advance,
    aggregate,
    compute_norm,
)
from commonweal.learning.aggregation.server import (
    GlobalModel,
    decode_moments,
    encode_moments,
    moment_names,
    moments_size,
)

__all__ = [
    "GlobalModel",
    "NothingToAggregate",
    "ScoredUpdate",
    "advance",
    "aggregate",
    "compute_norm",
    "decode_moments",
    "encode_moments",
    "moment_names",
    "moments_size",
]
