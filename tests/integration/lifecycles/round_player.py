"""Plays a job's rounds on chain and in the model, with people who do not always do their duty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import cast

from chain_driver import ChainDriver, Papers
from round_model import ProtocolModel, RoundState, Tick

from commonweal.protocol.commitments import pack_scores, pack_seals
from commonweal.protocol.types import Address, Phase, Role, Score

Perform = Callable[..., bool]  # see Lifecycle.perform


@dataclass(frozen=True)
class Plan:
    diligence: float  # the chance that somebody does what is due
    scores: tuple[int, ...]  # to choose from
    seed: int


class RoundPlayer:
    def __init__(
        self,
        chain: ChainDriver,
        papers: Papers,
        model: ProtocolModel,
        perform: Perform,
        by: Address,
    ) -> None:
        self._chain, self._papers, self._model = chain, papers, model
        self._perform, self._by = perform, by
        self._reveals: dict[tuple[int, int], list[bytes]] = {}
        self._seals: dict[tuple[int, int], list[bytes]] = {}
        self._sealed: dict[tuple[int, int, int], list[Score]] = {}  # ballots by job, round, seat

    def play_phase(self, job: int, plan: Plan) -> None:
        """From the current phase into another; now and then somebody is too early first."""
        its = self._model.round(job)
        phase, chance = its.phase, Random(f"{plan.seed} {job} {its.number} {its.phase}")
        if phase is not Phase.NONE and self._chain.now + 1 < its.ends_at:
            self._act(job, its, plan, chance)
        if self._is_in(job, its, phase) and chance.random() < 0.3:
            self._advance(job)
        if self._is_in(job, its, phase):
            self._end(job, its)

    def _is_in(self, job: int, its: RoundState, phase: Phase) -> bool:
        return self._model.round(job) is its and its.phase is phase

    def _act(self, job: int, its: RoundState, plan: Plan, chance: Random) -> None:
        actions = {
            Phase.COMMIT: self._commit,
            Phase.REVEAL: self._reveal,
            Phase.BALLOT_COMMIT: self._seal,
            Phase.BALLOT_REVEAL: self._open,
            Phase.ATTEST: self._attest,
        }
        actions[its.phase](job, its, plan, chance)

    def _end(self, job: int, its: RoundState) -> None:
        """The last step of a phase, past its deadline unless the round can be finalised."""
        if its.agreed:
            return self._finalise(job, its)
        self._chain.travel(max(0, its.ends_at - self._chain.now))
        if its.phase is Phase.REVEAL and not its.committee:
            self._draw(job, its)
            if not self._is_in(job, its, Phase.REVEAL):
                return None
        if its.phase is Phase.BALLOT_REVEAL and its.opened:
            self._send_ballots(job, its, {seat: list(its.opened[seat]) for seat in its.opened})
            if self._model.round(job) is not its or its.phase is not Phase.BALLOT_REVEAL:
                return None
        return self._advance(job)

    def _advance(self, job: int) -> None:
        def predict(tick: Tick) -> None:
            self._model.advance(job, tick)

        self._perform(self._by, "Rounds", "advance", [job], predict)

    def _commit(self, job: int, its: RoundState, plan: Plan, chance: Random) -> None:
        members = self._model.jobs[job - 1].members
        due = [m for m in self._model.jobs[job - 1].active(Role.TRAINER) if m not in its.committed]
        willing = [member for member in due if chance.random() < plan.diligence]
        cut = chance.randint(0, len(willing))
        for batch in (willing[:cut], willing[cut:]):
            if batch and self._model.round(job) is its and its.phase is Phase.COMMIT:
                owners = {member: members[member].provider for member in batch}
                args = self._papers.commit(job, its.number, owners)

                def predict(tick: Tick, batch: list[int] = batch) -> None:
                    self._model.commit(job, batch, tick)

                self._perform(self._by, "Rounds", "commitUpdates", args, predict)

    def _reveal(self, job: int, its: RoundState, plan: Plan, chance: Random) -> None:
        if chance.random() < 0.5:
            self._draw(job, its)
        for batch, entries in enumerate(its.batches):
            left = [member for member in entries if member not in its.revealed]
            chosen = {member for member in left if chance.random() < plan.diligence}
            if chosen and self._model.round(job) is its and its.phase is Phase.REVEAL:
                args = self._papers.reveal(job, its.number, batch, entries, chosen)

                def predict(tick: Tick, batch: int = batch, chosen: set[int] = chosen) -> None:
                    self._model.reveal(job, batch, chosen, tick)

                self._perform(self._by, "Rounds", "revealUpdates", args, predict)
                records = self._papers.records(job, its.number, chosen)
                self._reveals.setdefault((job, its.number), []).append(records)

    def _draw(self, job: int, its: RoundState) -> None:
        while self._chain.block < its.seed_block:
            self._chain.mine()
        header = self._chain.reader.fetch_header(its.seed_block)

        def predict(tick: Tick) -> None:
            self._model.draw(job, tick)

        self._perform(self._by, "Rounds", "draw", [job, header], predict)

    def _seal(self, job: int, its: RoundState, plan: Plan, chance: Random) -> None:
        due = [seat for seat in range(len(its.committee)) if seat not in its.sealed]
        seats = [seat for seat in due if chance.random() < plan.diligence]
        if seats:
            ballots = {seat: self._ballot(job, its, plan, seat) for seat in seats}
            args = self._papers.seal(job, its.number, ballots, self._places(job, its))

            def predict(tick: Tick) -> None:
                self._model.seal_ballots(job, set(seats), tick)

            self._perform(self._by, "Rounds", "commitBallots", args, predict)
            sealed = pack_seals(zip(ballots, cast(list[bytes], args[3]), strict=True))
            self._seals.setdefault((job, its.number), []).append(sealed)

    def _open(self, job: int, its: RoundState, plan: Plan, chance: Random) -> None:
        """Seat by seat, or together; whoever completes the set repeats the others."""
        due = [seat for seat in sorted(its.sealed) if seat not in its.opened]
        willing = [seat for seat in due if chance.random() < plan.diligence]
        steps = [[seat] for seat in willing] if chance.random() < 0.5 else [willing]
        for seats in steps:
            if seats and self._model.round(job) is its and its.phase is Phase.BALLOT_REVEAL:
                known = {seat: list(scores) for seat, scores in its.opened.items()}
                fresh = {seat: self._sealed[job, its.number, seat] for seat in seats}
                self._send_ballots(job, its, {**known, **fresh})

    def _send_ballots(self, job: int, its: RoundState, ballots: dict[int, list[Score]]) -> None:
        seals = self._seals[job, its.number]
        args = self._papers.open(job, its.number, ballots, its.committee, seals)

        def predict(tick: Tick) -> None:
            self._model.open_ballots(job, ballots, tick)

        self._perform(self._by, "Rounds", "revealBallots", args, predict)

    def _attest(self, job: int, its: RoundState, plan: Plan, chance: Random) -> None:
        places = self._places(job, its)
        due = [seat for seat in range(len(its.committee)) if seat not in its.attested]
        willing = [seat for seat in due if chance.random() < plan.diligence]
        cut = chance.choice((0, 0, 0, chance.randint(0, len(willing))))
        for model, seats in ((b"\x0a" * 32, willing[:cut]), (b"\x0b" * 32, willing[cut:])):
            if seats:
                owners = {seat: places[seat][1] for seat in seats}
                args = self._papers.attest(job, its.number, model, owners)

                def predict(tick: Tick, seats: list[int] = seats, model: bytes = model) -> None:
                    self._model.attest(job, set(seats), model, tick)

                self._perform(self._by, "Rounds", "attest", args, predict)
        if chance.random() < 0.3:
            self._chain.travel(chance.choice((31, its.ends_at - self._chain.now)))

    def _finalise(self, job: int, its: RoundState) -> None:
        assert its.tallied is not None
        numbers = pack_scores(its.tallied.scores), pack_scores(its.tallied.shares)
        args = [job, its.number, self._reveals[job, its.number], *numbers]

        def predict(tick: Tick) -> None:
            self._model.finalise(job, tick)

        self._perform(self._by, "Rounds", "finalise", args, predict)

    def _ballot(self, job: int, its: RoundState, plan: Plan, seat: int) -> list[Score]:
        """Most seats are of one opinion about an update."""
        scores = []
        for member in sorted(its.revealed):
            agreed = Random(f"{plan.seed} {its.number} {member}").choice(plan.scores)
            own = Random(f"{plan.seed} {its.number} {member} {seat}")
            scores.append(Score(agreed if own.random() < 0.8 else own.choice(plan.scores)))
        self._sealed[job, its.number, seat] = scores
        return scores

    def _places(self, job: int, its: RoundState) -> dict[int, tuple[int, str]]:
        members = self._model.jobs[job - 1].members
        return {seat: (m, members[m].provider) for seat, m in enumerate(its.committee)}
