"""Jury duty: the cases of this node's jobs are moved on, and where it has a seat it votes.

Jurors are paid nothing, so that nobody gains from a decision; a vote costs the operator's gas.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import structlog

from commonweal.adapters.chain import ChainReader, ContractReverted
from commonweal.errors import CommonwealError
from commonweal.protocol.appeals import AppealStep, Case, Stage, due_step
from commonweal.protocol.batches import ContractCall
from commonweal.protocol.commitments import pack_seats
from commonweal.protocol.types import Address
from node_agent.journal import Journal, Vote
from node_agent.judging import Judge
from node_agent.senders import DirectSender
from node_agent.signer import Signer
from node_agent.view import NodeView

log = structlog.get_logger(__name__)
_PLACES = 16  # in line for a step that anybody may take
_PAUSE = 2.0  # seconds between attempts at one thing
_IDLE_SECONDS = 1.0
_LAST_CHANCE = 0.25  # of the time to vote

_Turn = tuple[int, int, Stage, AppealStep | None]


class Juror:
    def __init__(
        self,
        reader: ChainReader,
        provider: Address,
        judge: Judge,
        journal: Journal,
        signer: Signer,
        sender: DirectSender,
        *,
        stagger: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`stagger`: seconds per place in line, so that not all pay for one step."""
        self._reader = reader
        self._provider = provider
        self._judge = judge
        self._journal = journal
        self._signer = signer
        self._sender = sender
        self._stagger = stagger
        self._clock = clock
        self._closed: set[int] = set()
        self._next_look = float("-inf")
        self._next_try: dict[_Turn, float] = {}
        self._began: dict[tuple[int, int], int] = {}  # chain time at which a vote was first due

    def sit(self, view: NodeView, now: int) -> None:
        """`now`: chain time, seconds. A case that fails does not hold up the others.

        While no case is open, the next look is a second away.
        """
        if self._clock() < self._next_look:
            return
        at = view.block.number
        cases = list(self._cases(at))
        self._next_look = self._clock() + (0.0 if cases else _IDLE_SECONDS)
        for appeal, case, member in cases:
            try:
                self._serve(appeal, case, member, at, now)
            except ContractReverted as error:
                log.info("not needed any more", appeal=appeal, revert=error.name)
            except CommonwealError as error:
                log.warning(
                    "jury duty failed", appeal=appeal, code=error.code, reason=error.message
                )

    def _cases(self, at: int) -> Iterator[tuple[int, Case, int]]:
        """Open cases of jobs that this node is a member of: (appeal, case, member)."""
        for appeal in range(1, self._reader.fetch_appeal_count(at) + 1):
            if appeal in self._closed:
                continue
            case = self._reader.fetch_case(appeal, at)
            member = self._reader.fetch_member_index(case.job, self._provider, at)
            if member is None or case.stage is Stage.CLOSED:
                self._closed.add(appeal)
            else:
                yield appeal, case, member

    def _serve(self, appeal: int, case: Case, member: int, at: int, now: int) -> None:
        step = due_step(case, now=now, block_number=at)
        place = (member - appeal) % _PLACES if step else 0
        if not self._is_turn((appeal, case.level, case.stage, step), place * self._stagger):
            return
        if step is not None:
            self._step(appeal, case, step)
            return
        jury = self._reader.fetch_jury(appeal, case.level, at)
        if member not in jury:
            return
        seat = jury.index(member)
        if case.stage is Stage.COMMIT and not case.committed >> seat & 1:
            self._commit(self._vote(appeal, case, member, at, now), seat)
        elif case.stage is Stage.REVEAL and not case.revealed >> seat & 1:
            self._reveal(self._journal.vote(appeal, case.level), seat)

    def _is_turn(self, turn: _Turn, delay: float) -> bool:
        """First after `delay` seconds, then with pauses, until the chain shows it done."""
        if self._clock() < self._next_try.setdefault(turn, self._clock() + delay):
            return False
        self._next_try[turn] = self._clock() + _PAUSE
        return True

    def _step(self, appeal: int, case: Case, step: AppealStep) -> None:
        if not self._sender.has_gas():
            return
        header = (self._reader.fetch_header(case.seed_block),) if step is AppealStep.DRAW else ()
        key = f"appeal:{appeal}:{case.level}:{case.stage}:{case.seed_block}"
        self._sender.carry(key, [ContractCall("Appeals", step.value, (appeal, *header))])

    def _vote(self, appeal: int, case: Case, member: int, at: int, now: int) -> Vote:
        """What was decided once stands, whatever a later look would show."""
        if (known := self._journal.vote(appeal, case.level)) is not None:
            return known
        began = self._began.setdefault((appeal, case.level), now)
        is_last = case.ends_at - now <= _LAST_CHANCE * (case.ends_at - began)
        overturn = self._judge.is_wrong(case, at, is_last_chance=is_last)
        log.info("case judged", appeal=appeal, level=case.level, overturn=overturn)
        vote = self._signer.commit_vote(appeal, case.level, member, overturn=overturn)
        return self._journal.record_vote(vote)

    def _commit(self, vote: Vote, seat: int) -> None:
        args = (vote.appeal, pack_seats([seat]), [vote.commitment], vote.signature)
        call = ContractCall("Appeals", "commitVotes", args)
        self._sender.carry(f"vote:{vote.appeal}:{vote.level}", [call])

    def _reveal(self, vote: Vote | None, seat: int) -> None:
        if vote is None:
            return  # sealed by another journal
        args = (vote.appeal, seat, vote.overturn, vote.salt)
        call = ContractCall("Appeals", "revealVote", args)
        self._sender.carry(f"open:{vote.appeal}:{vote.level}", [call])
