"""Seven nodes learn digits, two of them cheat: the learning loop alone, in one process, no chain.

python -m bench.scenario --rounds 10 --seeds 10
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from commonweal.learning.aggregation import ScoredUpdate, aggregate, compute_norm
from commonweal.learning.data import (
    DigitsPart,
    DigitsSource,
    LocalData,
    digits_test_part,
    load_dataset,
)
from commonweal.learning.encoding import compute_delta, decode_update, encode_update
from commonweal.learning.scoring import Candidate, ScoringMemory, score_updates
from commonweal.learning.training import evaluate, train
from commonweal.learning.weights import Weights, initial_weights
from commonweal.protocol.specs import JobSpec
from commonweal.protocol.types import Address, Score, Verdict
from commonweal.protocol.verdicts import Tally, tally

EXAMPLE = Path(__file__).parents[1] / "examples" / "digits.yaml"
HONEST = tuple(range(5))
FLIPPER, NOISE = 5, 6
_FLIP = np.float32(3.0)


@dataclass(frozen=True, slots=True)
class RoundResult:
    accuracy: float
    tally: Tally
    seconds: float  # of one honest node: train once, score once


@dataclass(frozen=True, slots=True)
class Outcome:
    seed: int
    rounds: tuple[RoundResult, ...]

    @property
    def cheats_score(self) -> int:
        return sum(r.tally.scores[FLIPPER] + r.tally.scores[NOISE] for r in self.rounds)

    @property
    def least_verified(self) -> int:
        """Rounds in which the least verified honest trainer was verified."""
        return min(sum(r.tally.scores[node] > 0 for r in self.rounds) for node in HONEST)

    @property
    def mean_share(self) -> float:
        return statistics.mean(share / 10_000 for r in self.rounds for share in r.tally.shares)


def run(spec: JobSpec, seed: int, rounds: int) -> Outcome:
    return Outcome(seed, tuple(_run_rounds(spec, seed, rounds)))


def _run_rounds(spec: JobSpec, seed: int, rounds: int) -> Iterator[RoundResult]:
    parts = [_load_part(spec, seed, index) for index in range(7)]
    test = digits_test_part(seed)
    model = initial_weights(spec.model, seed)
    memories = dict.fromkeys(HONEST, ScoringMemory())
    for round_ in range(rounds):
        started = time.perf_counter()
        updates = _make_updates(spec, model, parts, seed * 1000 + round_)
        ballots: dict[int, list[Score]] = {}
        for node in HONEST:
            seed_ = seed * 1000 + round_ * 10 + node
            ballot, memories[node] = score_updates(
                spec, model, updates, parts[node], memories[node], seed=seed_
            )
            ballots[node] = [ballot[member] for member in range(7)]
        seconds = (time.perf_counter() - started) / len(HONEST)
        verdict = tally(range(7), HONEST, ballots)
        model = _next_model(spec, model, updates, verdict)
        yield RoundResult(evaluate(spec, model, test).accuracy, verdict, seconds)


def _load_part(spec: JobSpec, seed: int, index: int) -> LocalData:
    part = DigitsPart(parts=7, index=index, alpha=0.5, seed=seed)
    return load_dataset(DigitsSource(part=part), spec.data)


def _make_updates(
    spec: JobSpec, model: Weights, parts: list[LocalData], seed: int
) -> list[Candidate]:
    trained = {
        node: compute_delta(
            train(spec, model, parts[node].train, seed=seed * 10 + node).weights, model
        )
        for node in (*HONEST, FLIPPER)
    }
    trained[FLIPPER] = {name: -_FLIP * tensor for name, tensor in trained[FLIPPER].items()}
    trained[NOISE] = _make_noise(trained, seed)
    return [
        Candidate(node, _address(node), decode_update(encode_update(delta, spec.encoding), spec))
        for node, delta in sorted(trained.items())
    ]


def _make_noise(updates: Mapping[int, Weights], seed: int) -> Weights:
    """As long as an honest update, so that its norm gives nothing away."""
    generator = np.random.default_rng(seed)
    noise = {
        name: generator.standard_normal(tensor.shape).astype(np.float32)
        for name, tensor in updates[0].items()
    }
    length = statistics.median(compute_norm(updates[node]) for node in HONEST)
    scale = np.float32(length / compute_norm(noise))
    return {name: scale * tensor for name, tensor in noise.items()}


def _next_model(spec: JobSpec, model: Weights, updates: list[Candidate], verdict: Tally) -> Weights:
    verified = [
        ScoredUpdate(update.trainer, score, update.delta)
        for update, score in zip(updates, verdict.scores, strict=True)
        if Verdict.of(score) is Verdict.VERIFIED and update.delta is not None
    ]
    return aggregate(spec.aggregation, model, verified)


def _address(node: int) -> Address:
    return Address(f"0x{node + 1:040x}")


def load_spec(path: Path = EXAMPLE) -> JobSpec:
    job = yaml.safe_load(path.read_text())
    return JobSpec.model_validate({key: job[key] for key in job if key in JobSpec.model_fields})


def _describe(outcome: Outcome) -> dict[str, object]:
    return {
        "seed": outcome.seed,
        "accuracy": [round(r.accuracy, 4) for r in outcome.rounds],
        "cheats_score": outcome.cheats_score,
        "least_verified": outcome.least_verified,
        "validator_share": round(outcome.mean_share, 3),
        "seconds_per_node_and_round": round(
            statistics.median(r.seconds for r in outcome.rounds), 3
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--job", type=Path, default=EXAMPLE)
    options = parser.parse_args()
    spec = load_spec(options.job)
    for seed in range(options.seeds):
        print(json.dumps(_describe(run(spec, seed, options.rounds))), flush=True)


if __name__ == "__main__":
    main()
