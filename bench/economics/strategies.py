"""How trainers and validators behave. Nothing here knows about money."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.attacks.attacks import ATTACKS
from bench.attacks.liars import LIES, Ballot, Courtroom
from commonweal.protocol.types import Score

HONEST = "honest"
_HIGHEST = Score(4000)  # what an honest judge gives at most


@dataclass(frozen=True, slots=True)
class TrainerStrategy:
    """`content`: which recording shows what judges say about it."""

    name: str
    content: str = "nothing"
    trains: bool = False
    commits: bool = True
    reveals: bool = True

    @property
    def is_honest_work(self) -> bool:
        """Its updates are those of an honest trainer."""
        return self.content == HONEST


@dataclass(frozen=True, slots=True)
class ValidatorStrategy:
    """`lie` turns an honest opinion into a ballot; `presence`: of the seats it is drawn for."""

    name: str
    lie: Callable[[Courtroom], Ballot] | None = None
    judges: bool = True  # looks at the updates, at the cost of it
    attests: bool = True
    presence: float = 1.0
    is_partial: bool = False  # protects its friends, as a juror too


def praising(court: Courtroom) -> Ballot:
    """All to friends, and the truth about everybody else."""
    return {
        member: _HIGHEST if member in court.friends else score
        for member, score in court.honest.items()
    }


def slighting(court: Courtroom) -> Ballot:
    """All to friends, nothing to anybody else: what no one can appeal."""
    return {member: _HIGHEST if member in court.friends else Score(0) for member in court.honest}


def _attack(name: str) -> TrainerStrategy:
    return TrainerStrategy(name, name, trains=ATTACKS[name].effort == "trains")


TRAINERS = {
    strategy.name: strategy
    for strategy in (
        TrainerStrategy(HONEST, HONEST, trains=True),
        TrainerStrategy("idle", commits=False),
        TrainerStrategy("withholds-reveal", reveals=False),
        TrainerStrategy("unavailable", "unavailable"),
        TrainerStrategy("invalid", "invalid"),
        *map(
            _attack,
            (
                "free-rider-zero",
                "free-rider-noise",
                "gaussian",
                "sign-flip",
                "free-rider-stale",
                "free-rider-extrapolation",
                "mimic",
                "sybil",
                "sybil-jitter",
                "selective",
                "backdoor",
                "adaptive",
            ),
        ),
    )
}
VALIDATORS = {
    strategy.name: strategy
    for strategy in (
        ValidatorStrategy(HONEST),
        ValidatorStrategy("absent", presence=0.0, judges=False),
        ValidatorStrategy("flaky-1%", presence=0.99),
        ValidatorStrategy("flaky-5%", presence=0.95),
        ValidatorStrategy("no-attestation", attests=False),
        ValidatorStrategy("random", LIES["random"], judges=False),
        ValidatorStrategy("constant", LIES["constant"], judges=False),
        ValidatorStrategy("inverted", LIES["inverted"]),
        ValidatorStrategy("favouring", LIES["favouring"], judges=False, is_partial=True),
        ValidatorStrategy("slighting", slighting, judges=False, is_partial=True),
        ValidatorStrategy("praising", praising, is_partial=True),
    )
}
