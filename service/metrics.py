"""What Prometheus is told: counted while things happen, or looked up when it asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from commonweal.adapters.transactions import Receipt
from commonweal.protocol.events import ChainEvent, PhaseStarted
from commonweal.protocol.types import Phase
from service.eventjson import name_of

_PHASE_SECONDS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400, 86_400)
_KEPT_SECONDS = 1.0  # however often it is asked for


@dataclass(frozen=True, slots=True)
class SenderReading:
    pending: int  # transactions that are stored and not mined
    next_nonce: int | None  # the least of theirs
    balance: int | None  # wei


@dataclass(frozen=True, slots=True)
class Reading:
    """What is looked up. Ages in seconds; None: not known yet."""

    head: int | None
    indexed: int
    leads: bool
    messages: Mapping[str, int]  # by state
    senders: Mapping[str, SenderReading]  # by address


class Metrics:
    """Safe to share between threads."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._phases = Histogram(
            "commonweal_phase_seconds",
            "How long phases of rounds took, by the chain's clock.",
            ["phase"],
            buckets=_PHASE_SECONDS,
            registry=self.registry,
        )
        self._gas = Counter(
            "commonweal_gas", "Used by our transactions.", ["sender"], registry=self.registry
        )
        self._fees = Counter(
            "commonweal_fee_wei", "Paid for it.", ["sender"], registry=self.registry
        )
        self.gauges = Gauges()
        self.registry.register(self.gauges)
        self._started: dict[int, tuple[Phase, int]] = {}

    def note_events(self, events: Iterable[ChainEvent]) -> None:
        """In chain order."""
        for event in events:
            if isinstance(event, PhaseStarted):
                phase, since = self._started.get(event.job, (None, 0))
                if phase is not None and phase is not Phase.NONE:
                    seconds = event.ref.timestamp - since
                    self._phases.labels(name_of(phase)).observe(seconds)
                self._started[event.job] = (event.phase, event.ref.timestamp)

    def note_receipt(self, sender: str, receipt: Receipt) -> None:
        self._gas.labels(sender).inc(receipt.gas_used)
        self._fees.labels(sender).inc(receipt.fee)

    def render(self) -> bytes:
        return generate_latest(self.registry)


class Gauges(Collector):
    """Readings as gauges, and the age of the oldest transaction as long as this process saw it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reading: Reading | None = None
        self._read_at = float("-inf")
        self._waiting: dict[str, tuple[int, float]] = {}  # by sender: nonce, since

    def needs_reading(self) -> bool:
        return time.monotonic() - self._read_at >= _KEPT_SECONDS

    def note(self, reading: Reading) -> None:
        now = time.monotonic()
        with self._lock:
            before, self._waiting = self._waiting, {}
            for sender, found in reading.senders.items():
                if (nonce := found.next_nonce) is not None:
                    known = before.get(sender)
                    is_same = known is not None and known[0] == nonce
                    self._waiting[sender] = known if known and is_same else (nonce, now)
            self._reading, self._read_at = reading, now

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            reading, waiting = self._reading, self._waiting
        if reading is None:
            return
        plain: dict[str, tuple[str, float | None]] = {
            "indexed_block": ("Latest block in the database.", reading.indexed),
            "head_block": ("Latest block of the chain.", reading.head),
            "lag_blocks": ("Blocks of the chain not in the database.", _lag(reading)),
            "leads": ("1 if this coordinator leads, 0 if another does.", int(reading.leads)),
        }
        for name, (text, value) in plain.items():
            if value is not None:
                yield GaugeMetricFamily(f"commonweal_{name}", text, value=float(value))
        messages = GaugeMetricFamily("commonweal_messages", "Messages by state.", labels=["state"])
        for state, count in sorted(reading.messages.items()):
            messages.add_metric([state], count)
        yield messages
        yield from _show_senders(reading.senders, waiting)


def _show_senders(
    senders: Mapping[str, SenderReading], waiting: Mapping[str, tuple[int, float]]
) -> Iterator[Metric]:
    now = time.monotonic()
    texts = {
        "outbox_pending": "Transactions stored and not mined.",
        "outbox_oldest_seconds": "How long the next of them has been waited for.",
        "sender_balance_wei": "Gas money.",
    }
    for name, text in texts.items():
        gauge = GaugeMetricFamily(f"commonweal_{name}", text, labels=["sender"])
        for sender, found in senders.items():
            age = now - waiting[sender][1] if sender in waiting else 0.0
            values = (found.pending, age, found.balance)
            if (value := dict(zip(texts, values, strict=True))[name]) is not None:
                gauge.add_metric([sender], float(value))
        yield gauge


def _lag(reading: Reading) -> int | None:
    return None if reading.head is None else max(0, reading.head - reading.indexed)
