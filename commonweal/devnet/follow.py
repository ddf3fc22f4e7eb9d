"""Follows one job on chain, block by block: phases, verdicts, and each new model's accuracy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from commonweal.adapters.chain import ChainReader
from commonweal.protocol import events as ev
from commonweal.protocol.batches import opened_entries
from commonweal.protocol.commitments import unpack_entries, unpack_scores
from commonweal.protocol.types import Address, Digest, JobState, Phase, Verdict

Evaluate = Callable[[Digest], float]


@dataclass(slots=True)
class RoundProgress:
    round: int
    started: int  # by the chain's clock, seconds
    phase: Phase = Phase.COMMIT
    committed: set[int] = field(default_factory=set)
    revealed: set[int] = field(default_factory=set)
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    accuracy: float | None = None
    model: Digest | None = None
    failed: bool = False
    seconds: int = 0  # by the chain's clock

    def count(self, verdict: Verdict) -> int:
        return list(self.verdicts.values()).count(verdict)

    @property
    def is_over(self) -> bool:
        return self.failed or self.model is not None


@dataclass(slots=True)
class Follower:
    """`poll` reads the blocks since the last one; `evaluate` gives a model's accuracy."""

    reader: ChainReader
    job: int
    evaluate: Evaluate
    next_block: int
    state: JobState = JobState.NONE
    members: dict[int, Address] = field(default_factory=dict)
    rounds: dict[int, RoundProgress] = field(default_factory=dict)

    def poll(self) -> bool:
        """Whether anything was new."""
        head = self.reader.fetch_head().number
        if head < self.next_block:
            return False
        events = self.reader.fetch_events(self.next_block, head, self.job)
        for event in events:
            self._apply(event)
        self.next_block = head + 1
        return bool(events)

    def _apply(self, event: ev.ChainEvent) -> None:
        match event:
            case ev.JobStateChanged():
                self.state = event.state
            case ev.MemberJoined():
                self.members[event.member] = event.provider
            case ev.RoundOpened():
                self.rounds[event.round] = RoundProgress(event.round, event.ref.timestamp)
            case _ if (round_ := self.rounds.get(getattr(event, "round", 0))) is not None:
                self._apply_to_round(round_, event)
            case _:
                pass

    def _apply_to_round(self, round_: RoundProgress, event: ev.ChainEvent) -> None:
        match event:
            case ev.PhaseStarted():
                round_.phase = event.phase
            case ev.UpdatesCommitted():
                round_.committed |= {member for member, _ in unpack_entries(event.entries)}
            case ev.UpdatesRevealed():
                round_.revealed |= {member for member, _ in opened_entries(event)}
            case ev.RoundTallied():
                scores = unpack_scores(event.scores)
                members = sorted(round_.revealed)
                verdicts = [Verdict.of(score) for score in scores]
                round_.verdicts = dict(zip(members, verdicts, strict=True))
            case ev.RoundFinalised():
                round_.seconds = event.ref.timestamp - round_.started
                round_.model = event.model_digest
                round_.accuracy = self.evaluate(event.model_digest)
            case ev.RoundFailed():
                round_.seconds = event.ref.timestamp - round_.started
                round_.failed = True
            case _:
                pass
