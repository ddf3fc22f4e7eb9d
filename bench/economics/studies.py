"""What is simulated, and what is counted: a study is one market with one cast, for many lives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from bench.economics.book import Account
from bench.economics.life import Cast, Life
from bench.economics.market import Market, make_market, with_committee, with_slashes
from bench.economics.recording import TRAINER_COUNT, Recording, Scene
from bench.economics.strategies import HONEST, TRAINERS, VALIDATORS
from commonweal.errors import CommonwealError

RECORDED_ROUNDS = 16  # of a job, and so of a recording
JAIL_HORIZON = 100  # rounds
_CHEATS, _LIARS = 3, 8  # of 12 trainers, of 40 validators
_CONFIDENCE = 0.95
# Of a colluding group: what its trainers send, how its validators vote.
GROUPS = (
    (HONEST, HONEST),
    (HONEST, "slighting"),
    ("gaussian", "praising"),
    ("gaussian", "slighting"),
    ("gaussian", "favouring"),
)


class MoneyLost(CommonwealError):
    """The books of a simulated life do not balance."""

    code = "money-lost"


@dataclass(frozen=True, slots=True)
class Study:
    """`role`: whose money is counted; `setting`: what a sweep varies."""

    sweep: str
    setting: str
    role: str  # trainer, validator, group
    market: Market
    cast: Cast

    @property
    def strategy(self) -> str:
        names = {"trainer": [self.cast.trainer.name], "validator": [self.cast.validator.name]}
        both = [self.cast.trainer.name, self.cast.validator.name]
        return " + ".join(names.get(self.role, both))

    def scenes(self, seeds: Sequence[int], rounds: int) -> list[Scene]:
        trainer, cheats = self.cast.trainer, self.cast.cheating_trainers
        content = "nothing" if trainer.is_honest_work else trainer.content
        cheats = 0 if trainer.is_honest_work else cheats
        return [Scene(content, cheats, seed, rounds) for seed in seeds]


@dataclass(frozen=True, slots=True)
class Row:
    """Returns are % of the stake per hundred rounds, after costs; `low` and `high`: 95 %."""

    sweep: str
    setting: str
    role: str
    strategy: str
    share: float  # of those in the role; of a group's trainers
    committee: int
    return_per_100: float
    return_low: float
    return_high: float
    honest_return_per_100: float  # of everybody else in the role
    jailed: float  # within the first hundred rounds
    jailed_low: float
    jailed_high: float
    rounds_to_ruin: float | None  # rounds at risk per ruin; None: nobody was
    ruined: float
    honest_pay_share: float  # of the trainers' money
    finalised: float  # of all rounds
    rounds: int
    lives: int


def plan(*, quick: bool) -> list[Study]:
    market = make_market(RECORDED_ROUNDS)
    if quick:
        return [*_trainers(market, ["honest", "gaussian", "invalid"]), *_slashes(market, [1.0])]
    return [
        *_trainers(market, list(TRAINERS)),
        *_validators(market),
        *_shares("shares", market),
        *_shares("strict", _make_strict(market)),
        *_committees(market),
        *_floors(market),
        *_slashes(market, [0.0, 0.5, 1.0, 2.0, 5.0, 10.0]),
        *_bounties(market),
        *_duties(market),
    ]


def _trainers(market: Market, names: Sequence[str]) -> Iterator[Study]:
    for name in names:
        yield Study("trainers", "", "trainer", market, Cast(TRAINERS[name], _CHEATS))


def _validators(market: Market) -> Iterator[Study]:
    """Among honest trainers, and where a quarter of them sends noise."""
    for content in (HONEST, "gaussian"):
        for strategy in VALIDATORS.values():
            cast = Cast(TRAINERS[content], _CHEATS, strategy, _LIARS)
            setting = f"a quarter of the trainers: {content}"
            yield Study("validators", setting, "validator", market, cast)


def _shares(sweep: str, market: Market) -> Iterator[Study]:
    """A group with the same part of trainers and of validators."""
    for cheats in range(1, 8):
        for content, vote in GROUPS:
            yield _group(sweep, f"{cheats}/{TRAINER_COUNT}", market, content, vote, cheats)


def _make_strict(market: Market) -> Market:
    """What docs/economics.md recommends among strangers: nine seats, three quarters as floor."""
    least = market.parameters.max_trainers * 3 // 4
    parameters = replace(market.parameters, min_trainers=least)
    return with_committee(replace(market, parameters=parameters), 9)


def _committees(market: Market) -> Iterator[Study]:
    for size in (3, 5, 7, 9, 15):
        for content, vote in GROUPS[1:]:
            yield _group("committees", str(size), with_committee(market, size), content, vote, 4)


def _floors(market: Market) -> Iterator[Study]:
    """Nobody gets more of the trainers' pool than one of `min_trainers` equal parts."""
    for least in (3, 6, 9):
        changed = replace(market, parameters=replace(market.parameters, min_trainers=least))
        for content, vote in GROUPS[1:]:
            yield _group("floors", str(least), changed, content, vote, 4)


def _slashes(market: Market, factors: Sequence[float]) -> Iterator[Study]:
    for factor in factors:
        changed, setting = with_slashes(market, factor), f"×{factor:g}"
        for name in ("withholds-reveal", "invalid"):
            cast = Cast(TRAINERS[name], _CHEATS)
            yield Study("slashes", setting, "trainer", changed, cast)
        absent = Cast(validator=VALIDATORS["absent"], cheating_validators=_LIARS)
        yield Study("slashes", setting, "validator", changed, absent)


def _bounties(market: Market) -> Iterator[Study]:
    """Whoever is sure to be accused accuses itself first."""
    cast = Cast(TRAINERS["withholds-reveal"], _CHEATS)
    for accuses in (False, True):
        changed = replace(market, accuses_itself=accuses)
        yield Study("bounties", f"accuses itself: {accuses}", "trainer", changed, cast)


def _duties(market: Market) -> Iterator[Study]:
    for most in (2, 3, 5, 10):
        changed = replace(market, rules=replace(market.rules, max_missed_duties=most))
        for name in ("flaky-1%", "flaky-5%", "absent"):
            cast = Cast(validator=VALIDATORS[name], cheating_validators=_LIARS)
            yield Study("duties", str(most), "validator", changed, cast)


def _group(sweep: str, setting: str, market: Market, content: str, vote: str, cheats: int) -> Study:
    voters = round(market.validators * cheats / TRAINER_COUNT)
    return Study(
        sweep, setting, "group", market, Cast(TRAINERS[content], cheats, VALIDATORS[vote], voters)
    )


def run_study(
    study: Study, recordings: Sequence[Recording], *, rounds: int, lives: int, seed: int
) -> dict[str, Any]:
    """A row for people and machines. Raises MoneyLost."""
    lived = [Life(study.market, study.cast, recordings, seed + at) for at in range(lives)]
    for life in lived:
        life.run(rounds)
        if imbalance := life.book.compute_imbalance():
            raise MoneyLost(f"{imbalance} wei are missing", imbalance=imbalance)
    return asdict(_count(study, lived, rounds))


def find_profitable(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """From which share on a group surely earns more than the same people by honest work."""
    swept = [row for row in rows if row["sweep"] in ("shares", "strict")]
    honest = {
        (row["sweep"], row["share"]): row["return_high"]
        for row in swept
        if row["strategy"] == f"{HONEST} + {HONEST}"
    }
    pays: dict[tuple[str, str], list[float]] = {}
    for row in swept:
        shares = pays.setdefault((row["sweep"], row["strategy"]), [])
        if row["return_low"] > honest[row["sweep"], row["share"]]:
            shares.append(row["share"])
    return [
        {"sweep": sweep, "strategy": strategy, "share": min(shares, default=None)}
        for (sweep, strategy), shares in pays.items()
        if strategy != f"{HONEST} + {HONEST}"
    ]


def _count(study: Study, lives: Sequence[Life], rounds: int) -> Row:
    counted = [_members(life, study.role, cheating=True) for life in lives]
    others = [_members(life, study.role, cheating=False) for life in lives]
    everybody = [account for accounts in counted for account in accounts]
    returns = [_compute_return(its, study.market.stake, rounds) for its in counted]
    low, high = _compute_interval(returns)
    jailed = sum(
        1 for a in everybody if a.jailed_after is not None and a.jailed_after <= JAIL_HORIZON
    )
    ruined = [a.ruined_after for a in everybody if a.ruined_after is not None]
    at_risk = sum(ruined) + rounds * (len(everybody) - len(ruined))
    odds = stats.binomtest(jailed, len(everybody)).proportion_ci(_CONFIDENCE, "wilson")
    paid = np.sum([life.trainers_paid for life in lives], axis=0, dtype=object)
    cast, terms = study.cast, study.market.parameters
    is_judge = study.role == "validator"
    return Row(
        sweep=study.sweep,
        setting=study.setting,
        role=study.role,
        strategy=study.strategy,
        share=round(
            cast.cheating_validators / study.market.validators
            if is_judge
            else cast.cheating_trainers / terms.max_trainers,
            4,
        ),
        committee=terms.committee_size,
        return_per_100=round(float(np.mean(returns)), 2),
        return_low=round(low, 2),
        return_high=round(high, 2),
        honest_return_per_100=round(
            float(np.mean([_compute_return(its, study.market.stake, rounds) for its in others])), 2
        ),
        jailed=round(jailed / len(everybody), 4),
        jailed_low=round(float(odds.low), 4),
        jailed_high=round(float(odds.high), 4),
        rounds_to_ruin=round(at_risk / len(ruined), 1) if ruined else None,
        ruined=round(len(ruined) / len(everybody), 4),
        honest_pay_share=round(paid[0] / sum(paid), 4) if sum(paid) else 0.0,
        finalised=round(sum(life.finalised for life in lives) / (rounds * len(lives)), 4),
        rounds=rounds,
        lives=len(lives),
    )


def _members(life: Life, role: str, *, cheating: bool) -> list[Account]:
    members: Mapping[str, list[int]] = {
        "trainer": [*life.trainers],
        "validator": [*life.validators],
        "group": [*life.trainers, *life.validators],
    }
    return [life.book.accounts[m] for m in members[role] if life.is_cheating(m) == cheating]


def _compute_return(accounts: Sequence[Account], stake: int, rounds: int) -> float:
    """% of the stake per hundred rounds, all of them together."""
    gains = sum(a.wallet + a.stake.total - stake - a.spent for a in accounts)
    return 100 * gains / (stake * len(accounts)) * 100 / rounds if accounts else 0.0


def _compute_interval(values: Sequence[float]) -> tuple[float, float]:
    """Of the mean, by Student's t; lives are independent, members of one life are not."""
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    half = float(stats.t.ppf((1 + _CONFIDENCE) / 2, max(len(values) - 1, 1)))
    half *= spread / len(values) ** 0.5
    return mean - half, mean + half
