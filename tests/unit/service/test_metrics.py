"""What Prometheus reads, from a job that a scripted chain plays."""

from __future__ import annotations

import scripted_chain as script

from commonweal.adapters.transactions import Receipt
from commonweal.protocol.types import Wei
from service.metrics import Metrics, Reading, SenderReading


def reading(next_nonce: int | None) -> Reading:
    messages = {"accepted": 2, "mined": 5}
    pending = 0 if next_nonce is None else 1
    senders = {"0xA": SenderReading(pending, next_nonce, 10**18), "0xB": SenderReading(3, 7, None)}
    return Reading(120, 117, True, messages, senders)


def test_phases_last_from_their_start_to_the_next_by_the_chains_clock() -> None:
    chain, metrics = script.whole_job(), Metrics()
    events = chain.fetch_events(0, 11)
    metrics.note_events(events[: len(events) // 2])
    metrics.note_events(events[len(events) // 2 :])
    started = [e for e in events if type(e).__name__ == "PhaseStarted"]
    assert len(started) >= 2
    total = started[-1].ref.timestamp - started[0].ref.timestamp
    found = _sum(metrics, "commonweal_phase_seconds_sum")
    assert found == total > 0
    assert _sum(metrics, "commonweal_phase_seconds_count") == len(started) - 1


def test_gas_and_fees_add_up() -> None:
    metrics = Metrics()
    for sender, gas in (("0xA", 21_000), ("0xA", 50_000), ("0xB", 1)):
        metrics.note_receipt(sender, Receipt(bytes(32), 1, gas, Wei(gas * 3)))
    for sender, gas in (("0xA", 71_000), ("0xB", 1)):
        value, of = metrics.registry.get_sample_value, {"sender": sender}
        assert value("commonweal_gas_total", of) == gas
        assert value("commonweal_fee_wei_total", of) == 3 * gas


def test_what_is_looked_up_is_shown_and_not_looked_up_twice_at_once() -> None:
    metrics = Metrics()
    assert metrics.gauges.needs_reading()
    metrics.gauges.note(reading(next_nonce=4))
    assert not metrics.gauges.needs_reading()
    value = metrics.registry.get_sample_value
    assert value("commonweal_lag_blocks") == 3
    assert value("commonweal_messages", {"state": "mined"}) == 5
    first, second = {"sender": "0xA"}, {"sender": "0xB"}
    assert value("commonweal_outbox_pending", second) == 3
    assert value("commonweal_sender_balance_wei", first) == 10**18
    assert value("commonweal_sender_balance_wei", second) is None
    age = value("commonweal_outbox_oldest_seconds", first)
    metrics.gauges.note(reading(next_nonce=4))
    later = value("commonweal_outbox_oldest_seconds", first)
    assert age is not None
    assert later is not None
    assert later >= age > 0
    metrics.gauges.note(reading(next_nonce=None))
    assert value("commonweal_outbox_oldest_seconds", first) == 0
    assert value("commonweal_outbox_oldest_seconds", second) > 0  # type: ignore[operator]


def _sum(metrics: Metrics, name: str) -> float:
    found = metrics.registry.collect()
    return sum(sample.value for metric in found for sample in metric.samples if sample.name == name)
