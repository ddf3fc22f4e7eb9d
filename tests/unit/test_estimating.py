"""What a job will move, cost and take; and that the gas figures are the measured ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from commonweal.cli.jobs import describe_estimate
from commonweal.cli.output import format_bytes, format_duration
from commonweal.estimating import (
    CREATE_GAS,
    DIRECT_TRAINER_GAS,
    JOIN_GAS,
    Traffic,
    compute_estimate,
    estimate_relayed_round,
)
from commonweal.jobfile import load_job_file, parse_job_file
from commonweal.validation_sets import ValidationSet

CHECKOUT = Path(__file__).parents[2]
MEASURED = json.loads((CHECKOUT / "bench" / "results" / "gas.json").read_text())
JOB = """\
name: tiny
model: {family: logistic, inputs: 100, classes: 10}
encoding: {kind: int8, block: 64}
data: {features: [100], classes: 10}
terms:
  rounds: 10
  price_per_round: 100
  validator_share_bps: 2000
  coordinator_share_bps: 500
  min_stake: 1
  min_trainers: 2
  max_trainers: 4
  committee_size: 3
  commit_window: 60s
  reveal_window: 30s
  ballot_commit_window: 60s
  ballot_reveal_window: 30s
  attest_window: 20s
  recruit_for: 100s
  max_failed_rounds: 2
"""


def test_bytes_money_and_time_by_hand() -> None:
    """1,010 parameters: 16 blocks of 64, so 1,026 bytes; float32 with its header 4,192."""
    found = compute_estimate(parse_job_file(JOB.encode()))
    assert (found.parameters, found.encoding) == (1010, "int8")
    assert (found.update_bytes, found.float32_update_bytes) == (1026, 4192)
    assert found.times_smaller == 4.09
    assert found.traffic_per_round == Traffic(
        uploaded=(2 * 1026, 4 * 1026),
        fetched=(2 * 4192 + 3 * (4192 + 2 * 1026), 4 * 4192 + 3 * (4192 + 4 * 1026)),
    )
    assert found.traffic_per_job.uploaded == (20 * 1026, 40 * 1026)
    assert found.escrow == 1000 * 10**18
    assert found.pools_per_round.trainers == 75 * 10**18
    assert (found.longest.round, found.longest.job) == (200, 100 + 12 * 200)


def test_a_validation_set_is_counted_if_its_samples_are_there() -> None:
    job = parse_job_file(JOB.encode())
    few = ValidationSet("a CID", bytes(1234))
    assert compute_estimate(job).validation_bytes is None
    assert compute_estimate(replace(job, validation=few)).validation_bytes == 1234
    assert "validation set" not in describe_estimate(compute_estimate(job))
    named = job.spec.data.model_copy(update={"validation": "a CID"})
    named_job = replace(job, spec=job.spec.model_copy(update={"data": named}))
    shown = describe_estimate(compute_estimate(named_job))
    assert shown["validation set"] == "a CID, once to each member"
    shown = describe_estimate(compute_estimate(replace(named_job, validation=few)))
    assert shown["validation set"] == "1.2 kB, a CID, once to each member"


def test_gas_is_what_the_bench_measured() -> None:
    """At the measured size, a hundred trainers, and per call; within two per cent."""
    phases = [gas for name, gas in MEASURED.items() if name.startswith("relay: ")]
    whole = sum(phases) - MEASURED["relay: per verified update"]
    assert estimate_relayed_round(100) == pytest.approx(whole, rel=0.02)
    direct = MEASURED["direct: per trainer and round"]
    assert pytest.approx(direct, rel=0.02) == DIRECT_TRAINER_GAS
    assert pytest.approx(MEASURED["createJob"], rel=0.02) == CREATE_GAS
    assert pytest.approx(MEASURED["joinJob, later"], rel=0.02) == JOIN_GAS


@pytest.mark.parametrize("name", ["digits.yaml", "fashion.yaml"])
def test_shipped_examples_can_be_estimated(name: str) -> None:
    found = compute_estimate(load_job_file(CHECKOUT / "examples" / name))
    assert found.update_bytes <= found.float32_update_bytes
    fewest, most = found.gas.relayed_per_job
    assert 0 < fewest < most


@pytest.mark.parametrize(
    ("count", "text"),
    [(999, "999 bytes"), (1000, "1.0 kB"), (26_123, "26.1 kB"), (1.6e6, "1.6 MB"), (5e9, "5.0 GB")],
)
def test_bytes_for_people(count: float, text: str) -> None:
    assert format_bytes(int(count)) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (3600, "1 h"), (90_061, "1 d 1 h")]
)
def test_durations_for_people(seconds: int, text: str) -> None:
    assert format_duration(seconds) == text
