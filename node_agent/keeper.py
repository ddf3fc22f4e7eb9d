"""Taking turns as keeper: whoever has gas moves a phase on, the members one after another.

Every transition is open to everybody, so being second costs only a simulated call.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from commonweal.adapters.chain import ContractReverted
from commonweal.protocol.batches import RoundRecord
from commonweal.protocol.keeping import Transition, due_transition, transition_call
from commonweal.protocol.types import Phase
from node_agent.chainlog import ChainLog
from node_agent.senders import DirectSender
from node_agent.view import JobView, NodeView

log = structlog.get_logger(__name__)
_RETRY_SECONDS = 1.0
_Turn = tuple[int, int, Phase, int, Transition]


class Keeper:
    def __init__(
        self,
        chain_log: ChainLog,
        sender: DirectSender,
        fetch_header: Callable[[int], bytes],
        *,
        patience: float,
        stagger: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`patience`: seconds a coordinator may take; `stagger`: more of them per place in line."""
        self._log = chain_log
        self._sender = sender
        self._fetch_header = fetch_header
        self._patience = patience
        self._stagger = stagger
        self._clock = clock
        self._since: dict[_Turn, float] = {}

    def keep(self, view: NodeView, now: int) -> None:
        """Make the transitions whose turn has come to this node. `now`: chain time, seconds."""
        due = {turn: job for job in view.jobs if (turn := self._find(job, view, now))}
        self._since = {turn: self._since.get(turn, self._clock()) for turn in due}
        for turn, job in due.items():
            waited = self._clock() - self._since[turn]
            if waited >= self._patience + self._stagger * compute_place(job):
                self._since[turn] = self._clock() + _RETRY_SECONDS
                self._make(turn[-1], job, view)

    def _find(self, job: JobView, view: NodeView, now: int) -> _Turn | None:
        if job.member is None:
            return None
        round_ = job.round
        record = self._record(job, view) if round_.phase is Phase.BALLOT_REVEAL else None
        transition = due_transition(
            round_, job.job, now=now, block_number=view.block.number, record=record
        )
        if transition is None:
            return None
        return (round_.job, round_.round, round_.phase, round_.seed_block, transition)

    def _record(self, job: JobView, view: NodeView) -> RoundRecord:
        return self._log.record(job.round.job, job.round.round, view.block.number)

    def _make(self, transition: Transition, job: JobView, view: NodeView) -> None:
        round_ = job.round
        if not self._sender.has_gas():
            return
        header = self._fetch_header(round_.seed_block) if transition is Transition.DRAW else b""
        call = transition_call(transition, round_.job, self._record(job, view), header)
        key = f"{transition}:{round_.job}:{round_.round}:{round_.phase}:{round_.seed_block}"
        try:
            self._sender.carry(f"keep:{key}", [call])
        except ContractReverted as error:
            log.info("transition not needed", transition=key, revert=error.name)


def compute_place(job: JobView) -> int:
    """The place in line: another member is first in every round, so that the cost goes around."""
    assert job.member is not None
    return (job.member.member - job.round.round) % max(1, len(job.members))
