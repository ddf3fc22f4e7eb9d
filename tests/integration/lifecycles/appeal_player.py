"""Plays appeals on chain and in the model, with jurors who do not always vote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from appeal_model import AppealModel, Trial
from chain_driver import ChainDriver, Papers
from round_model import Tick

from commonweal.protocol import merkle
from commonweal.protocol.appeals import NO_SETTLEMENT, Settlement, Stage
from commonweal.protocol.types import Address, Fault

Perform = Callable[..., None]  # see Lifecycle.perform


@dataclass(frozen=True)
class JuryPlan:
    diligence: float  # the chance that a juror does what is due
    leaning: float  # the chance of a vote to overturn
    again: bool  # whether the decision is appealed, too
    seed: int


class AppealPlayer:
    def __init__(
        self,
        chain: ChainDriver,
        papers: Papers,
        model: AppealModel,
        perform: Perform,
        by: Address,
    ) -> None:
        self._chain, self._papers, self._model = chain, papers, model
        self._perform, self._by = perform, by
        self._votes: dict[tuple[int, int], dict[int, bool]] = {}  # sealed, by (appeal, level)

    def appeal_slash(self, slash: int, by: Address) -> None:
        job, round_, _, fault = self._model.offences.get(slash, (0, 0, 0, Fault.ABSENT))
        wronged = fault is Fault.INVALID_UPDATE
        settlement = self._settlement(job, round_) if wronged else NO_SETTLEMENT
        args = [slash, settlement.argument]
        self._do(by, "appealSlash", args, lambda t: self._model.appeal_slash(slash, t))

    def appeal_model(self, job: int, round_: int, by: Address) -> None:
        args = [job, round_, self._settlement(job, round_).argument]
        self._do(by, "appealModel", args, lambda t: self._model.appeal_model(job, round_, t))

    def appeal_again(self, appeal: int, by: Address) -> None:
        self._do(by, "appealAgain", [appeal], lambda t: self._model.appeal_again(appeal, t))

    def advance(self, appeal: int) -> None:
        self._do(self._by, "advance", [appeal], lambda t: self._model.advance_appeal(appeal, t))

    def take_owed(self, account: Address) -> None:
        self._do(self._by, "takeOwed", [account], lambda _: self._model.take_owed(account))

    def play_stage(self, appeal: int, plan: JuryPlan, by: Address) -> None:
        """From the present stage into another; now and then somebody is too early first."""
        its = self._model.trials[appeal - 1]
        stage, chance = its.stage, Random(f"{plan.seed} {appeal} {its.level} {its.stage}")
        if chance.random() < 0.2:
            self.advance(appeal)
        if its.stage is stage is Stage.DRAWING:
            self._draw(appeal, its)
        elif its.stage is stage is Stage.DECIDED and plan.again:
            self.appeal_again(appeal, by)
        elif its.stage is stage and self._chain.now + 1 < its.ends_at:
            self._vote(appeal, its, plan, chance)
        if its.stage is stage is not Stage.DRAWING:
            self._chain.travel(max(0, its.ends_at - self._chain.now))
            self.advance(appeal)

    def _vote(self, appeal: int, its: Trial, plan: JuryPlan, chance: Random) -> None:
        if its.stage is Stage.COMMIT:
            self._seal(appeal, its, plan, chance)
        elif its.stage is Stage.REVEAL:
            self._open(appeal, its, plan, chance)

    def _draw(self, appeal: int, its: Trial) -> None:
        while self._chain.block < its.seed_block:
            self._chain.mine()
        header = self._chain.reader.fetch_header(its.seed_block)
        args = [appeal, header]
        self._do(self._by, "draw", args, lambda t: self._model.draw_jury(appeal, t))

    def _seal(self, appeal: int, its: Trial, plan: JuryPlan, chance: Random) -> None:
        """Jurors who left meanwhile are refused, so they are asked alone."""
        members = self._model.jobs[its.job - 1].members
        jurors = {seat: (m, members[m].provider) for seat, m in enumerate(its.juries[-1])}
        willing = [seat for seat in jurors if chance.random() < plan.diligence]
        votes = {seat: chance.random() < plan.leaning for seat in willing}
        left = [seat for seat in willing if not members[jurors[seat][0]].active]
        for seats in ([seat] for seat in left), [[seat for seat in willing if seat not in left]]:
            for batch in seats:
                if batch and its.stage is Stage.COMMIT:
                    self._send_votes(appeal, its, {seat: votes[seat] for seat in batch}, jurors)
        self._votes[appeal, its.level] = votes

    def _send_votes(
        self, appeal: int, its: Trial, votes: dict[int, bool], jurors: dict[int, tuple[int, str]]
    ) -> None:
        args = self._papers.seal_votes(appeal, its.level, votes, jurors)
        self._do(
            self._by, "commitVotes", args, lambda t: self._model.seal_votes(appeal, set(votes), t)
        )

    def _open(self, appeal: int, its: Trial, plan: JuryPlan, chance: Random) -> None:
        votes = self._votes[appeal, its.level]
        for seat in sorted(its.sealed - its.opened.keys()):
            if its.stage is Stage.REVEAL and chance.random() < plan.diligence:
                self._open_vote(appeal, seat, votes[seat], its.level)

    def _open_vote(self, appeal: int, seat: int, overturn: bool, level: int) -> None:
        args = [appeal, seat, overturn, self._papers.vote_salt(appeal, level, seat)]
        self._do(
            self._by, "revealVote", args, lambda t: self._model.open_vote(appeal, seat, overturn, t)
        )

    def _settlement(self, job: int, round_: int) -> Settlement:
        past = self._model.past.get((job, round_))
        if past is None or not past.finalised_at:
            return NO_SETTLEMENT
        word = merkle.compute_committee_word(past.committee, past.attesters)
        leaves = [
            merkle.compute_verdict_leaf(member, self._papers.digest(job, round_, member), score)
            for member, score in sorted(past.verdicts.items())
        ]
        return Settlement(word, past.finalised_at, len(leaves), merkle.compute_root(leaves))

    def _do(
        self, sender: Address, function: str, args: list[object], predict: Callable[[Tick], None]
    ) -> None:
        self._perform(sender, "Appeals", function, args, predict)
