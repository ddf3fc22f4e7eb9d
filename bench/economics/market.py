"""The market that is simulated: the terms of its jobs, the network's rules, what work costs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bench.economics.recording import TRAINER_COUNT
from commonweal.adapters.deploying import public_parameters
from commonweal.protocol.rewards import compute_pools
from commonweal.protocol.types import (
    BPS,
    ZERO_DIGEST,
    Address,
    Bps,
    JobParameters,
    ProtocolParameters,
    Wei,
)

TOKEN = 10**18
TREASURY = Address("0x" + "11" * 20)
COORDINATOR = Address("0x" + "22" * 20)


@dataclass(frozen=True, slots=True)
class Costs:
    """In bps of an equal share of the pool (an update of all trainers, a ballot of all seats)."""

    training: int = 2_500
    sending: int = 500  # commits, reveals, serves content, and has not trained
    judging: int = 2_500
    guessing: int = 500  # a ballot without looking


@dataclass(frozen=True, slots=True)
class Market:
    """Trainers only train and validators only judge, so that each strategy's money is its own."""

    parameters: JobParameters
    rules: ProtocolParameters
    stake: Wei  # of each provider; a job locks the least it asks for
    costs: Costs = Costs()
    validators: int = 40
    round_seconds: int = 3_600
    has_appeals: bool = True  # whoever is wrongly called invalid appeals
    accuses_itself: bool = False  # an offender is the first to prove its own fault

    def compute_costs(self) -> Costs:
        """The same in wei."""
        pools, shares = compute_pools(self.parameters), self.costs
        trainer, seat = self.parameters.max_trainers, self.parameters.committee_size
        return Costs(
            training=pools.trainers * shares.training // BPS // trainer,
            sending=pools.trainers * shares.sending // BPS // trainer,
            judging=pools.validators * shares.judging // BPS // seat,
            guessing=pools.validators * shares.guessing // BPS // seat,
        )


def make_market(rounds: int) -> Market:
    """Jobs of `rounds` rounds on the terms of examples/digits.yaml, under the shipped rules."""
    parameters = JobParameters(
        spec_digest=ZERO_DIGEST,
        initial_model=ZERO_DIGEST,
        rounds=rounds,
        price_per_round=Wei(100 * TOKEN),
        validator_share_bps=Bps(2_000),
        coordinator_share_bps=Bps(500),
        coordinator=COORDINATOR,
        min_trainers=3,
        max_trainers=TRAINER_COUNT,
        committee_size=5,
        min_stake=Wei(100 * TOKEN),
        commit_window=60,
        reveal_window=30,
        ballot_commit_window=60,
        ballot_reveal_window=30,
        attest_window=30,
        recruit_until=0,
        max_failed_rounds=rounds,
        allowlist_root=ZERO_DIGEST,
    )
    return Market(parameters, public_parameters(TREASURY), Wei(150 * TOKEN))


def with_committee(market: Market, size: int) -> Market:
    return replace(market, parameters=replace(market.parameters, committee_size=size))


def with_slashes(market: Market, factor: float) -> Market:
    """All slash fractions times `factor`."""
    rules = market.rules
    scaled = replace(
        rules,
        unrevealed_slash_bps=Bps(round(rules.unrevealed_slash_bps * factor)),
        invalid_slash_bps=Bps(round(rules.invalid_slash_bps * factor)),
        absent_slash_bps=Bps(round(rules.absent_slash_bps * factor)),
    )
    return replace(market, rules=scaled)
