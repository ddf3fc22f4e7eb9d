"""Ballots of judges who lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from commonweal.protocol.types import SCORE_INVALID, Score

_HIGHEST = 4000  # what an honest judge gives at most

Ballot = dict[int, Score]


@dataclass(frozen=True, slots=True)
class Courtroom:
    """`honest`: what the liar would say if it were honest; `friends`: the attackers."""

    honest: Mapping[int, Score]
    friends: frozenset[int]
    random: np.random.Generator


def constant(court: Courtroom) -> Ballot:
    return dict.fromkeys(court.honest, Score(_HIGHEST))


def arbitrary(court: Courtroom) -> Ballot:
    levels = court.random.integers(0, _HIGHEST + 1, len(court.honest))
    return {member: Score(int(level)) for member, level in zip(court.honest, levels, strict=True)}


def inverted(court: Courtroom) -> Ballot:
    return {member: Score(max(0, _HIGHEST - score)) for member, score in court.honest.items()}


def favouring(court: Courtroom) -> Ballot:
    """All to friends, and everybody else slandered."""
    return {
        member: Score(_HIGHEST) if member in court.friends else SCORE_INVALID
        for member in court.honest
    }


LIES: dict[str, Callable[[Courtroom], Ballot]] = {
    "constant": constant,
    "random": arbitrary,
    "inverted": inverted,
    "favouring": favouring,
}
