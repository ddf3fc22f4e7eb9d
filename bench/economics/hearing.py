"""An update wrongly called invalid, before one jury or two. Honest jurors look; friends uphold.

The trainer appeals, and appeals again if the first jury upholds; who loses otherwise gives in.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from commonweal.protocol.appeals import compute_jury_size, compute_missing_pay, decide
from commonweal.protocol.committee import draw_committee
from commonweal.protocol.types import JobParameters, Wei


@dataclass(frozen=True, slots=True)
class Hearing:
    """`bonds_lost`: in bonds of the first level; the second costs two."""

    overturned: bool
    bonds_lost: int

    @classmethod
    def hold(
        cls,
        committee_size: int,
        validators: Sequence[tuple[int, int]],
        partial: Collection[int],
        seeds: Sequence[bytes],
    ) -> Hearing:
        """`validators`: (member, weight) of those who may sit; `seeds`: of level 1 and 2."""
        first = _draw(committee_size, 1, validators, seeds[0])
        decision = _ask(first, partial)
        if decision is not False:
            return cls(decision is True, 0)
        left = [entry for entry in validators if entry[0] not in first]
        second = _ask(_draw(committee_size, 2, left, seeds[1]), partial)
        return cls(True, 0) if second else cls(False, 1 if second is None else 3)

    @staticmethod
    def compute_part(terms: JobParameters, reveals: int, committee: Sequence[int]) -> Wei:
        return compute_missing_pay(terms, reveals, len(committee))


def _draw(
    committee_size: int, level: int, validators: Sequence[tuple[int, int]], seed: bytes
) -> tuple[int, ...]:
    """Nobody, if there are fewer validators than seats: the appeal is void."""
    size = compute_jury_size(committee_size, level)
    jury = draw_committee(validators, size, seed)
    return jury if len(jury) == size else ()


def _ask(jury: Sequence[int], partial: Collection[int]) -> bool | None:
    overturning = sum(member not in partial for member in jury)
    return decide(len(jury), len(jury), overturning)
