"""What the chain announced, as far as a node needs it: rounds in flight, and who serves content.

Events are fetched only when asked for, and each block once; a reorganisation starts over.
"""

from __future__ import annotations

import threading

from commonweal.adapters.chain import ChainReader
from commonweal.protocol.batches import RoundRecord, collect_round
from commonweal.protocol.events import ChainEvent, ProviderAnnounced
from commonweal.protocol.types import Address


class ChainLog:
    def __init__(self, reader: ChainReader, deployed_block: int) -> None:
        self._reader = reader
        self._start = deployed_block
        self._lock = threading.Lock()
        self._forget()

    def record(self, job: int, round_: int, at: int) -> RoundRecord:
        """What was announced of a job's latest round up to block `at`."""
        with self._lock:
            self._refresh(at)
            _, events = self._rounds.get(job, (0, []))
            return collect_round(events, job, round_)

    def announcements(self, at: int) -> dict[Address, ProviderAnnounced]:
        """The latest announcement of every provider."""
        with self._lock:
            self._refresh(at)
            return dict(self._announced)

    def _forget(self) -> None:
        self._next = self._start
        self._tip: tuple[int, bytes] | None = None
        self._rounds: dict[int, tuple[int, list[ChainEvent]]] = {}
        self._announced: dict[Address, ProviderAnnounced] = {}

    def _refresh(self, at: int) -> None:
        if at < self._next:
            return
        if self._tip is not None and self._reader.fetch_block(self._tip[0]).hash != self._tip[1]:
            self._forget()
        block = self._reader.fetch_block(at)
        for event in self._reader.fetch_events(self._next, at):
            self._take(event)
        self._next, self._tip = at + 1, (at, block.hash)

    def _take(self, event: ChainEvent) -> None:
        if isinstance(event, ProviderAnnounced):
            self._announced[event.provider] = event
            return
        job, round_ = getattr(event, "job", None), getattr(event, "round", None)
        if job is None or round_ is None:
            return
        latest, events = self._rounds.get(job, (0, []))
        if round_ > latest:
            latest, events = round_, []
        if round_ == latest:
            events.append(event)
        self._rounds[job] = (latest, events)
