"""The bench of whole rounds: log lines to spans, spans to a split, stamps to seconds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.round.flower import read_stamps
from bench.round.ours import RoundsMissing, RoundTime, summarise, time_rounds
from bench.round.phases import Log, Span, read_logs, split
from bench.round.rows import Row, compute_ratios, describe
from bench.round.task import HIDDEN, Task
from commonweal.adapters.local_chain import read_block_interval
from commonweal.devnet.network import find_checkout
from commonweal.protocol.events import ChainEvent, EventRef, RoundFinalised, RoundOpened
from commonweal.protocol.types import ZERO_DIGEST

AGENT = (
    "timestamp=2026-01-01T00:00:01.000000Z level=info event=worked work=training began=100.5 "
    "seconds=0.25 job=1 round=1\n"
    'timestamp=2026-01-01T00:00:01.000000Z level=info event="update trained" seconds=3\n'
)
COORDINATOR = (
    '{"job": 1, "block": 7, "event": "batch mined", "timestamp": "1970-01-01T00:01:41.000000Z"}\n'
    '{"intent": "a", "block": 7, "event": "duty done", "timestamp": "1970-01-01T00:01:40.5Z"}\n'
    '{"work": "chain", "began": 100.0, "seconds": 0.5, "event": "worked"}\n'
    "Traceback (most recent call last):\n{half a line\n"
)


def test_logs_of_both_kinds_are_read() -> None:
    log = read_logs([AGENT, COORDINATOR])
    assert log.spans == (Span("training", 100.5, 100.75), Span("chain", 100.0, 100.5))
    assert log.mined == {7: 100.5}


def test_an_instant_counts_once_and_all_of_it_is_accounted_for() -> None:
    spans = [
        Span("chain", 0.0, 4.0),
        Span("training", 1.0, 2.0),
        Span("training", 1.5, 3.0),
        Span("content", 2.5, 5.0),
        Span("scoring", 9.0, 99.0),
    ]
    found = split(spans, 0.5, 10.0)
    assert found == {
        "training": 2.0,
        "scoring": 1.0,
        "content": 2.0,
        "chain": 0.5,
        "waiting": 4.0,
    }
    assert sum(found.values()) == 9.5


def make_events(blocks: list[int]) -> list[ChainEvent]:
    first, *ends = (EventRef(block, b"", b"", 0, 0) for block in blocks)
    opened = RoundOpened(ref=first, job=1, round=1, parent_model=ZERO_DIGEST, ends_at=0)
    return [
        opened,
        *(
            RoundFinalised(ref=ref, job=1, round=at, model_digest=ZERO_DIGEST, verdict_root=b"")
            for at, ref in enumerate(ends, 1)
        ),
    ]


def test_a_round_lasts_from_the_end_of_the_one_before() -> None:
    log = Log((Span("training", 10.0, 11.0),), {3: 10.0, 5: 12.0, 9: 15.0})
    times = time_rounds(make_events([3, 5, 9]), log)
    assert [(each.round, each.seconds) for each in times] == [(1, 2.0), (2, 3.0)]
    assert times[0].phases["training"] == 1.0
    assert times[1].phases["waiting"] == 3.0


def test_rounds_to_warm_up_and_those_that_nobody_timed_are_left_out() -> None:
    log = Log((), {3: 10.0, 5: 12.0, 12: 20.0, 14: 23.0})
    events = make_events([3, 5, 9, 12, 14])
    assert [(each.round, each.seconds) for each in time_rounds(events, log)] == [(1, 2.0), (4, 3.0)]
    assert [each.round for each in time_rounds(events, log, warm_up=1)] == [4]


def test_rounds_of_which_nobody_timed_any_are_an_error() -> None:
    with pytest.raises(RoundsMissing, match="9"):
        time_rounds(make_events([3, 9]), Log((), {3: 10.0}))


def test_the_split_is_scaled_to_the_median_round() -> None:
    phases = {"training": 1.0, "scoring": 0.0, "content": 0.0, "chain": 0.0, "waiting": 1.0}
    times = [RoundTime(1, 2.0, phases), RoundTime(2, 2.0, phases)]
    assert summarise(times) == (2.0, phases)


def test_ratios_compare_within_a_turn() -> None:
    row = Row(1, 100, 8, 3, "fp32", 1.0, 25, 1.0, {}, 50.0, 0.5)
    slow = replace(row, run=2, ours_s=4.0, flower_deployment_s=100.0, flower_simulation_s=None)
    ratios = compute_ratios([row, slow, replace(row, run=3, ours_s=None)])
    assert ratios == {"ours_over_flower_deployment": 0.03, "ours_over_flower_simulation": 2.0}


def test_a_row_names_the_interval_of_the_chain_that_is_started() -> None:
    interval = read_block_interval(find_checkout())
    row = Row(1, 100, 8, 3, "fp32", 1.0, interval, None, {}, None, None)
    assert f"interval: {interval} " in (find_checkout() / "hardhat.config.js").read_text()
    assert f"a block each {interval} ms" in describe(row)


def test_stamps_of_the_warm_up_are_left_out() -> None:
    assert read_stamps("1 10.0 8\n2 14.0 8\n3 15.0 8\n", 1) == [4.0, 1.0]
    assert read_stamps("1 10.0 8\n2 14.0 8\n3 15.0 8\n", 2) == [1.0]


@pytest.mark.parametrize("parameters", sorted(HIDDEN))
def test_models_have_about_the_parameters_they_are_named_by(parameters: int) -> None:
    assert abs(Task(8, HIDDEN[parameters]).parameters / parameters - 1) < 0.01
