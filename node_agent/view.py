"""What the node sees of the chain at one block. Nothing here comes from a coordinator.

All of a view is read at one block number; what cannot change within a round is kept while it lasts,
and while all jobs have a round in flight, account and number of jobs for a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from commonweal.adapters.chain import Block, ChainReader
from commonweal.errors import Unavailable
from commonweal.protocol.types import (
    Address,
    Job,
    Member,
    Phase,
    Provider,
    Role,
    Round,
)


@dataclass(frozen=True, slots=True)
class JobView:
    """`member` is this node in the job, None before it joined; `members` is then everybody."""

    job: Job
    round: Round
    member: Member | None
    members: tuple[Member, ...]
    nonce: int  # of the next join or leave

    @property
    def seat(self) -> int | None:
        """This node's place in the committee, if it was drawn."""
        if self.member is None or self.member.member not in self.round.committee:
            return None
        return self.round.committee.index(self.member.member)

    @property
    def trainers(self) -> dict[int, Address]:
        """Every member's address, by index."""
        return {member.member: member.provider for member in self.members}

    @property
    def is_trainer(self) -> bool:
        return self.member is not None and self.member.active and Role.TRAINER in self.member.roles


@dataclass(frozen=True, slots=True)
class NodeView:
    block: Block
    account: Provider
    jobs: tuple[JobView, ...]

    @property
    def provider(self) -> Address:
        return self.account.provider


_KEPT_SECONDS = 1.0


class ChainMoved(Unavailable):
    """Reads at one block's number met two blocks; a moment later there is one again."""

    code = "chain-moved"


class ViewReader:
    """Reads one NodeView per block, with one `roundOf` per job that is not over."""

    def __init__(
        self,
        reader: ChainReader,
        provider: Address,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._read_at = float("-inf")  # account and number of jobs
        self._reader = reader
        self._provider = provider
        self._jobs: dict[int, JobView] = {}
        self._over: set[int] = set()
        self._last: NodeView | None = None
        self._account: Provider
        self._job_count: int

    def fetch(self, would_join: Callable[[int], bool]) -> NodeView:
        """Jobs that this node neither is in nor would join are looked at once."""
        head, again = self._fetch_head()
        if self._last is not None and self._last.block.hash == head.hash:
            return self._last
        if self._last is not None and not _has_grown(self._last.block, head, again):
            self._forget()  # What was kept may never have happened.
        if self._last is None or self._clock() - self._read_at >= _KEPT_SECONDS:
            self._account, self._job_count = self._reader.fetch_provider_and_job_count(
                self._provider, head.number
            )
            self._read_at = self._clock()
        try:
            jobs = self._fetch_jobs(head.number, would_join)
        except ChainMoved:
            self._forget()
            raise
        self._last = NodeView(head, self._account, jobs)
        if not all(_is_in_flight(job) for job in self._last.jobs):
            self._read_at = float("-inf")
        return self._last

    def _fetch_head(self) -> tuple[Block, Block | None]:
        """With the block that now stands where the last one did that was seen."""
        if self._last is None:
            return self._reader.fetch_head(), None
        return self._reader.fetch_head_and(self._last.block.number)

    def _forget(self) -> None:
        self._jobs.clear()
        self._over.clear()
        self._last = None

    def _fetch_jobs(self, at: int, would_join: Callable[[int], bool]) -> tuple[JobView, ...]:
        wanted = [
            job
            for job in range(1, self._job_count + 1)
            if job not in self._over and not self._is_foreign(job, would_join)
        ]
        rounds = self._reader.fetch_rounds(wanted, at)
        for job, round_ in zip(wanted, rounds, strict=True):
            self._jobs[job] = self._fetch_job(job, round_, at)
            if self._jobs[job].job.state.is_over:
                self._over.add(job)
        return tuple(self._jobs[job] for job in wanted)

    def _is_foreign(self, job: int, would_join: Callable[[int], bool]) -> bool:
        known = self._jobs.get(job)
        return known is not None and known.member is None and not would_join(job)

    def _fetch_job(self, job: int, round_: Round, at: int) -> JobView:
        known = self._jobs.get(job)
        if known is not None and _is_same_round(known, round_):
            return replace(known, round=round_)
        found, index, nonce = self._reader.fetch_membership(job, self._provider, at)
        members = () if index is None else self._reader.fetch_members(job, at)
        if index is not None and index >= len(members):
            message = f"the chain changed while job {job} was read"
            raise ChainMoved(message, job=job, member=index, members=len(members))
        return JobView(
            job=found,
            round=round_,
            member=None if index is None else members[index],
            members=members,
            nonce=nonce,
        )


def _has_grown(before: Block, head: Block, again: Block | None) -> bool:
    """Whether `head` comes after `before` on one chain, not only by its number.

    `again`: what the chain has at the number of `before`.
    """
    if head.number == before.number + 1:
        return head.parent_hash == before.hash
    return head.number > before.number and again is not None and again.hash == before.hash


def _is_in_flight(job: JobView) -> bool:
    """This node works in it: what it could join elsewhere may wait a second."""
    return job.member is not None and job.round.phase is not Phase.NONE


def _is_same_round(known: JobView, round_: Round) -> bool:
    """Job and membership cannot concern a member again before its round is over."""
    return (
        known.member is not None
        and known.round.round == round_.round
        and round_.phase is not Phase.NONE
    )
