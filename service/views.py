"""What the coordinator knows of each live job at the indexed head; replaced whole by changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from commonweal.adapters.chain import Block, ChainReader
from commonweal.protocol.batches import RoundRecord
from commonweal.protocol.types import Job, Member, Round
from service.repository import Repository


@dataclass(frozen=True, slots=True)
class JobView:
    job: Job
    round: Round
    members: tuple[Member, ...]
    record: RoundRecord  # of the same round
    at: Block  # the last one that changed something here

    def member(self, index: int) -> Member | None:
        return self.members[index] if index < len(self.members) else None


@dataclass(slots=True)
class Views:
    """Safe to read from any thread; one thread writes."""

    reader: ChainReader
    repository: Repository
    _views: dict[int, JobView] = field(default_factory=dict)
    _head: Block | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def head(self) -> Block | None:
        return self._head

    def now(self) -> int:
        """Seconds; never before the head, whose clock may run ahead of ours."""
        return max(int(time.time()), self._head.timestamp if self._head else 0)

    def get(self, job: int) -> JobView | None:
        with self._lock:
            return self._views.get(job)

    def all(self) -> list[JobView]:
        with self._lock:
            return list(self._views.values())

    def refresh(self, jobs: Iterable[int], rosters: Collection[int], head: Block) -> None:
        """`rosters`: the jobs among them whose members changed."""
        fresh = {job: self._fetch(job, head, job in rosters) for job in jobs}
        with self._lock:
            self._views |= fresh
            self._views = {j: view for j, view in self._views.items() if not view.job.state.is_over}
            self._head = head

    def reset(self, head: Block) -> None:
        """Everything anew: at start, and after the chain was rewound."""
        with self._lock:
            self._views = {}
        jobs = self.repository.fetch_live_jobs()
        self.refresh(jobs, jobs, head)

    def _fetch(self, job: int, head: Block, roster_changed: bool) -> JobView:
        at, before = head.number, self.get(job)
        found, round_ = self.reader.fetch_job_and_round(job, at)
        record = self.repository.fetch_record(job, round_.round)
        known = before is not None and not roster_changed
        members = before.members if before and known else self.reader.fetch_members(job, at)
        return JobView(found, round_, members, record, head)
