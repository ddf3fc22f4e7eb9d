"""What a job will move, cost and take, worked out from its file alone: no network, nothing sent.

Bytes are exact bounds, money is exact, gas is interpolated between measured rounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from commonweal.jobfile import JobFile, Terms, compute_parameters
from commonweal.learning.encoding import update_size
from commonweal.learning.weights import encoded_size, parameter_count, shapes_of
from commonweal.protocol.rewards import Pools, compute_pools
from commonweal.protocol.types import ZERO_DIGEST, Wei

# A round grows linearly with its trainers (committee of five, `python -m bench.gas`).
RELAYED_ROUND_GAS, RELAYED_TRAINER_GAS = 627_000, 9_600
DIRECT_TRAINER_GAS = 138_200
CREATE_GAS, JOIN_GAS = 262_700, 172_200

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes; updates are counted at their largest."""

    uploaded: Range
    fetched: Range


@dataclass(frozen=True, slots=True)
class Gas:
    relayed_per_round: Range
    relayed_per_job: Range
    direct_per_trainer_and_round: int = DIRECT_TRAINER_GAS


@dataclass(frozen=True, slots=True)
class Longest:
    """Seconds, if every phase lasts to its deadline and as many rounds fail as may."""

    round: int
    job: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """Ranges: with the fewest trainers, and with the most. `update_bytes` at most.

    `validation`: CID of the set that each member fetches once; its bytes if the file has them.
    """

    parameters: int
    encoding: str
    update_bytes: int
    float32_update_bytes: int
    times_smaller: float
    validation: str | None
    validation_bytes: int | None
    trainers: Range
    traffic_per_round: Traffic
    traffic_per_job: Traffic
    escrow: Wei
    pools_per_round: Pools
    gas: Gas
    longest: Longest


def compute_estimate(job: JobFile) -> Estimate:
    terms, spec = job.terms, job.spec
    shapes, update = shapes_of(spec.model), update_size(spec)
    dense = encoded_size(shapes, "F32")
    return Estimate(
        parameters=parameter_count(shapes),
        encoding=spec.encoding.kind,
        update_bytes=update,
        float32_update_bytes=dense,
        times_smaller=round(dense / update, 2),
        validation=spec.data.validation,
        validation_bytes=len(job.validation.content) if job.validation else None,
        trainers=(terms.min_trainers, terms.max_trainers),
        traffic_per_round=_estimate_traffic(terms, update, dense, rounds=1),
        traffic_per_job=_estimate_traffic(terms, update, dense, rounds=terms.rounds),
        escrow=job.escrow,
        pools_per_round=compute_pools(
            compute_parameters(terms, spec=ZERO_DIGEST, model=ZERO_DIGEST, now=0)
        ),
        gas=_estimate_gas(terms),
        longest=_compute_longest(terms),
    )


def _estimate_traffic(terms: Terms, update: int, model: int, *, rounds: int) -> Traffic:
    """Trainers read the model; the committee all updates, and the model."""

    def fetched(trainers: int) -> int:
        return rounds * (trainers * model + terms.committee_size * (model + trainers * update))

    return Traffic(
        _range(terms, lambda trainers: rounds * trainers * update), _range(terms, fetched)
    )


def _estimate_gas(terms: Terms) -> Gas:
    def in_all(trainers: int) -> int:
        return CREATE_GAS + trainers * JOIN_GAS + terms.rounds * estimate_relayed_round(trainers)

    return Gas(_range(terms, estimate_relayed_round), _range(terms, in_all))


def estimate_relayed_round(trainers: int) -> int:
    """Gas of everything in one round, sent in batches by a coordinator."""
    return RELAYED_ROUND_GAS + trainers * RELAYED_TRAINER_GAS


def _compute_longest(terms: Terms) -> Longest:
    ballots = terms.ballot_commit_window + terms.ballot_reveal_window
    round_ = terms.commit_window + terms.reveal_window + ballots + terms.attest_window
    rounds = terms.rounds + terms.max_failed_rounds
    return Longest(round_, terms.recruit_for + rounds * round_)


def _range(terms: Terms, amount: Callable[[int], int]) -> Range:
    return amount(terms.min_trainers), amount(terms.max_trainers)
