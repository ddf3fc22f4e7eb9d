"""What one validator thinks of a round's updates: a ballot score for each.

Torch is imported when used. The contract takes the median of the committee's ballots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from commonweal.errors import InvalidInput
from commonweal.learning.data import LocalData
from commonweal.learning.weights import Weights
from commonweal.protocol.specs import JobSpec
from commonweal.protocol.types import Address, Score


class InvalidMemory(InvalidInput):
    code = "invalid-scoring-memory"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A revealed update: its decoded delta, or why there is none."""

    member: int
    trainer: Address
    delta: Weights | None
    fault: Literal["unavailable", "invalid"] | None = None


@dataclass(frozen=True, slots=True)
class ScoringMemory:
    """What a validator remembers of one job's earlier rounds. Immutable; a new one per round.

    Start with `ScoringMemory()`; keep `to_bytes()` between runs (npz, no pickle).
    """

    def to_bytes(self) -> bytes:
        raise NotImplementedError

    @classmethod
    def from_bytes(cls, data: bytes) -> ScoringMemory:
        raise NotImplementedError


def score_updates(
    spec: JobSpec,
    parent: Weights,
    candidates: Sequence[Candidate],
    local: LocalData,
    memory: ScoringMemory,
    *,
    seed: int,
) -> tuple[dict[int, Score], ScoringMemory]:
    """A score per member, and the memory to use in the next round.

    65534 and 65535 for faulty candidates, else 0 or a useful score. `memory` is not changed, so
    scoring one round again from the same memory gives the same ballot.
    """
    raise NotImplementedError
