"""What the chain announced, as far as a node needs it: rounds in flight, and who serves content.

Events are fetched only when asked for, and each block once; a reorganisation starts over.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence

from commonweal.adapters.chain import Block, BlockUnknown, ChainReader
from commonweal.protocol.batches import RoundRecord, collect_round
from commonweal.protocol.commitments import unpack_scores
from commonweal.protocol.events import ChainEvent, ProviderAnnounced
from commonweal.protocol.types import Address, Verdict

_KEPT = 9  # rounds of a job: the one in flight, and those whose verdicts count


class ChainLog:
    def __init__(self, reader: ChainReader, deployed_block: int) -> None:
        self._reader = reader
        self._start = deployed_block
        self._lock = threading.Lock()
        self._forget()

    def record(self, job: int, round_: int, at: int) -> RoundRecord:
        """What was announced up to block `at` of one of a job's latest nine rounds."""
        with self._lock:
            self._refresh(at)
            return collect_round(self._rounds[job].get(round_, ()), job, round_)

    def rejections(self, job: int, before: int, at: int) -> dict[int, list[bool]]:
        """By member, whether each of its updates was rejected in the rounds before round `before`.

        Of the latest eight rounds; updates that nobody could judge are passed over.
        """
        found: dict[int, list[bool]] = {}
        for round_ in range(max(1, before - _KEPT + 1), before):
            record = self.record(job, round_, at)
            scores = unpack_scores(record.scores)  # none before the tally
            for member, score in zip(sorted(record.digests), scores, strict=False):
                verdict = Verdict.of(score)
                if verdict is not Verdict.UNAVAILABLE:
                    found.setdefault(member, []).append(verdict is not Verdict.VERIFIED)
        return found

    def announcements(self, at: int) -> dict[Address, ProviderAnnounced]:
        """The latest announcement of every provider."""
        with self._lock:
            self._refresh(at)
            return dict(self._announced)

    def _forget(self) -> None:
        self._next = self._start
        self._tip: tuple[int, bytes] | None = None
        self._rounds: dict[int, dict[int, list[ChainEvent]]] = _by_job_and_round()
        self._announced: dict[Address, ProviderAnnounced] = {}

    def _refresh(self, at: int) -> None:
        if at < self._next:
            return
        block, events = self._fetch(at)
        for event in events:
            self._take(event)
        self._next, self._tip = at + 1, (at, block.hash)

    def _fetch(self, at: int) -> tuple[Block, Sequence[ChainEvent]]:
        """Block `at` and the events up to it that are not known yet: all, after a fork."""
        numbers = [at] if self._tip is None else [at, self._tip[0]]
        found, events = self._reader.fetch_blocks_and_events(numbers, self._next, at)
        if self._tip is not None and (found[1] is None or found[1].hash != self._tip[1]):
            self._forget()
            return self._fetch(at)
        if found[0] is None:
            raise BlockUnknown(f"the chain has no block {at} any more", block=at)
        return found[0], events

    def _take(self, event: ChainEvent) -> None:
        if isinstance(event, ProviderAnnounced):
            self._announced[event.provider] = event
            return
        job, round_ = getattr(event, "job", None), getattr(event, "round", None)
        if job is None or round_ is None:
            return
        rounds = self._rounds[job]
        rounds[round_].append(event)
        for old in [number for number in rounds if number <= max(rounds) - _KEPT]:
            del rounds[old]


def _by_job_and_round() -> defaultdict[int, dict[int, list[ChainEvent]]]:
    return defaultdict(lambda: defaultdict(list))
