"""A network's life: job after job, round after round, by the protocol's own functions.

Draw, tally, split, slashes, bounties, jail and appeals are commonweal.protocol's; ballots come from
recordings. Here is only who does what, and when a round fails, as in docs/protocol.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.attacks.liars import Courtroom
from bench.economics.book import Account, Book, HeldSlash
from bench.economics.hearing import Hearing
from bench.economics.market import Market
from bench.economics.recording import Recording
from bench.economics.strategies import (
    HONEST,
    TRAINERS,
    VALIDATORS,
    TrainerStrategy,
    ValidatorStrategy,
)
from commonweal.protocol import stakes
from commonweal.protocol.committee import compute_seed, compute_weight, draw_committee
from commonweal.protocol.rewards import compute_quantum, split_round
from commonweal.protocol.stakes import Conduct, Stake
from commonweal.protocol.types import (
    SCORE_UNAVAILABLE,
    Address,
    Fault,
    Score,
    Verdict,
    Wei,
)
from commonweal.protocol.verdicts import Tally, tally

_ROUNDS = Address("0x" + "33" * 20)
_APPEALS = Address("0x" + "44" * 20)


@dataclass(frozen=True, slots=True)
class Cast:
    """Who is who: the last trainers and the last validators follow the strategies named."""

    trainer: TrainerStrategy = TRAINERS[HONEST]
    cheating_trainers: int = 0
    validator: ValidatorStrategy = VALIDATORS[HONEST]
    cheating_validators: int = 0


@dataclass(slots=True)
class Job:
    """The job in flight. `columns`: a trainer's place in the recording; `rows`: a validator's."""

    number: int
    ballots: list[list[list[int]]]  # by round, judge and update
    columns: Mapping[int, int]
    rows: Mapping[int, int]
    rounds: int = 0
    finalised: int = 0
    failed: int = 0


class Life:
    def __init__(
        self, market: Market, cast: Cast, recordings: Sequence[Recording], seed: int
    ) -> None:
        self.market, self.cast, self.recordings = market, cast, recordings
        self.terms, self.rules = market.parameters, market.rules
        self.costs = market.compute_costs()
        self.random = np.random.default_rng(seed)
        self.trainers = range(self.terms.max_trainers)
        self.validators = range(len(self.trainers), len(self.trainers) + market.validators)
        self.cheating_trainers = self.trainers[len(self.trainers) - cast.cheating_trainers :]
        self.cheating_validators = self.validators[market.validators - cast.cheating_validators :]
        names = [Address(f"0x{i + 1:040x}") for i in [*self.trainers, *self.validators]]
        self.book = Book([Account(name, Stake(market.stake)) for name in names])
        self.book.deposited = market.stake * len(names)
        self.quantum = compute_quantum(self._budget)
        self.active: set[int] = set()
        self.missed: set[int] = set()  # members whose row of missed duties this job may end
        self.now = self.round = self.jobs = self.finalised = self.appeals = 0
        self.trainers_paid = [0, 0]  # honest, cheating
        self.job = self._open_job()

    def run(self, rounds: int) -> None:
        """Ends with every slash settled and what is left of the escrow refunded."""
        for _ in range(rounds):
            self.step()
        self._close_job()
        self.book.settle(self.now + self.rules.appeal_window)

    def step(self) -> None:
        """One round, and the next job if that was this one's last."""
        self._play()
        is_exhausted = self.job.failed > self.terms.max_failed_rounds
        if is_exhausted or self.job.finalised == self.terms.rounds:
            self._close_job()
            self.job = self._open_job()

    def is_cheating(self, member: int) -> bool:
        return member in self.cheating_trainers or member in self.cheating_validators

    # Jobs and members

    @property
    def _budget(self) -> Wei:
        return Wei(self.terms.price_per_round * self.terms.rounds)

    def _open_job(self) -> Job:
        self.jobs += 1
        self.book.deposited += self._budget
        self.book.escrow += self._budget
        recording = self.recordings[int(self.random.integers(len(self.recordings)))]
        order = self._shuffle(recording)
        judges = self.random.integers(0, recording.honest, len(self.validators)).tolist()
        ballots = recording.ballots.tolist()
        return Job(self.jobs, ballots, order, dict(zip(self.validators, judges, strict=True)))

    def _shuffle(self, recording: Recording) -> dict[int, int]:
        """Cheats take cheats' places; where there are none, all are alike."""
        honest = self.random.permutation(recording.honest).tolist()
        cheats = self.random.permutation(recording.scene.cheats) + recording.honest
        return dict(zip(self.trainers, [*honest, *cheats.tolist()], strict=True))

    def _close_job(self) -> None:
        self.book.others["requester"] += self.book.escrow
        self.book.escrow = 0
        for member in sorted(self.active):
            self._remove(member)
        self.missed = set()

    def _remove(self, member: int) -> None:
        account = self.book.accounts[member]
        account.stake = stakes.unlock_stake(account.stake, self.terms.min_stake)
        self.active.discard(member)

    def _pass_time(self) -> None:
        self.now += self.market.round_seconds
        self.round += 1
        self.job.rounds += 1
        self.book.settle(self.now)
        for member, account in enumerate(self.book.accounts):
            self._note_ruin(account)
            if 0 < account.conduct.jailed_until <= self.now:
                account.conduct = Conduct()
            if member in self.active and not self._may_stay(account):
                self._remove(member)
            if member not in self.active and self._may_join(account):
                account.stake = stakes.lock_stake(account.stake, self.terms.min_stake)
                self.active.add(member)

    def _note_ruin(self, account: Account) -> None:
        if account.ruined_after is None and account.stake.total < self.terms.min_stake:
            account.ruined_after = self.round - 1

    def _may_stay(self, account: Account) -> bool:
        """Whoever is jailed, or backed by less than it weighs, can be ejected by anybody."""
        return not account.conduct.jailed_until and account.stake.locked >= self.terms.min_stake

    def _may_join(self, account: Account) -> bool:
        return not account.conduct.jailed_until and account.stake.free >= self.terms.min_stake

    # A round

    def _play(self) -> None:
        self._pass_time()
        committed = [m for m in self._among(self.trainers) if self._trainer(m).commits]
        self._charge_trainers(committed)
        committee = self._draw()
        if len(committed) < self.terms.min_trainers or not committee:
            return self._fail()
        revealed = [m for m in committed if self._trainer(m).reveals]
        self._accuse(Fault.UNREVEALED, set(committed) - set(revealed))
        if len(revealed) < self.terms.min_trainers:
            return self._fail()
        return self._judge(revealed, committee)

    def _judge(self, revealed: Sequence[int], committee: Sequence[int]) -> None:
        present = [s for s, m in enumerate(committee) if self._is_present(m)]
        absent = {committee[s] for s in range(len(committee)) if s not in present}
        if 2 * len(present) <= self.terms.committee_size:
            return self._fail(absent)
        ballots = {seat: self._vote(committee[seat], revealed) for seat in present}
        result = tally(revealed, committee, ballots)
        if Verdict.VERIFIED not in result.verdicts:
            return self._fail(absent)
        attesters = {committee[s] for s in present if self._validator(committee[s]).attests}
        if 3 * len(attesters) <= 2 * self.terms.committee_size:
            return self._fail(set(committee) - attesters)
        return self._finalise(revealed, committee, result, absent)

    def _draw(self) -> tuple[int, ...]:
        """Nobody, if more than two thirds of the seats cannot be filled."""
        seed = compute_seed(self.random.bytes(32), _ROUNDS, self.job.number, self.job.rounds)
        committee = draw_committee(self._weights(()), self.terms.committee_size, seed)
        return committee if 3 * len(committee) > 2 * self.terms.committee_size else ()

    def _weights(self, excluded: Collection[int]) -> list[tuple[int, int]]:
        weight = compute_weight(self.terms.min_stake)
        return [(m, weight) for m in self._among(self.validators) if m not in excluded]

    def _vote(self, validator: int, revealed: Sequence[int]) -> list[Score]:
        strategy = self._validator(validator)
        self._charge_validator(validator, strategy)
        at = (self.job.rounds - 1) % len(self.job.ballots)
        row = self.job.ballots[at][self.job.rows[validator]]
        opinion = {member: Score(row[self.job.columns[member]]) for member in revealed}
        if strategy.lie is None:
            return list(opinion.values())
        friends = frozenset(self.cheating_trainers)
        ballot = strategy.lie(Courtroom(opinion, friends, self.random))
        return [ballot[member] for member in revealed]

    def _finalise(
        self,
        revealed: Sequence[int],
        committee: Sequence[int],
        result: Tally,
        absent: Collection[int],
    ) -> None:
        split = split_round(self.terms, self.quantum, revealed, result, committee)
        for member, units in split.payments:
            self.book.accounts[member].wallet += units * self.quantum
            if member in self.trainers:
                self.trainers_paid[self.is_cheating(member)] += units * self.quantum
        self.book.others["coordinator"] += split.fee
        self.book.escrow -= split.spent
        self.job.finalised += 1
        self.finalised += 1
        self._end_rows(revealed, result.scores)
        self._accuse(Fault.ABSENT, absent)
        self._punish_updates(revealed, committee, result)

    def _end_rows(self, revealed: Sequence[int], scores: Sequence[Score]) -> None:
        """An update that was judged ends a row of duties missed in earlier rounds of the job."""
        for member, score in zip(revealed, scores, strict=True):
            if score < SCORE_UNAVAILABLE and member in self.missed:
                self.missed.discard(member)
                account = self.book.accounts[member]
                account.conduct = stakes.clear_missed_duties(account.conduct)

    def _punish_updates(
        self, revealed: Sequence[int], committee: Sequence[int], result: Tally
    ) -> None:
        for member, verdict in zip(revealed, result.verdicts, strict=True):
            if verdict is Verdict.UNAVAILABLE:
                self._accuse(Fault.UNAVAILABLE_UPDATE, [member])
            elif verdict is Verdict.INVALID:
                slash = self._take(Fault.INVALID_UPDATE, member)
                if self._may_appeal(member):
                    self._appeal(member, slash, committee, len(revealed))
                else:
                    self.book.hold(slash)

    def _fail(self, absent: Collection[int] = ()) -> None:
        self.job.failed += 1
        self._accuse(Fault.ABSENT, absent)

    # Faults

    def _accuse(self, fault: Fault, members: Collection[int]) -> None:
        for member in sorted(members):
            account = self.book.accounts[member]
            slash = self._take(fault, member)
            if slash.amount:
                self.book.hold(slash)
            if stakes.is_missed_duty(fault):
                account.conduct = stakes.miss_duty(account.conduct, self.rules, self.now)
                self.missed.add(member)
            if account.conduct.jailed_until and account.jailed_after is None:
                account.jailed_after = self.round

    def _take(self, fault: Fault, member: int) -> HeldSlash:
        account = self.book.accounts[member]
        asked = stakes.compute_slash(self.rules, fault, self.terms.min_stake)
        account.stake, taken = stakes.take_stake(account.stake, asked)
        account.slashed += taken
        bounty = stakes.compute_bounty(self.rules, fault, taken)
        prover = account if self.market.accuses_itself else None
        return HeldSlash(taken, bounty, prover, self.now + self.rules.appeal_window)

    def _may_appeal(self, member: int) -> bool:
        is_wronged = self._trainer(member).content != "invalid"
        is_willing = not self.book.accounts[member].has_given_up
        return self.market.has_appeals and is_wronged and is_willing

    def _appeal(
        self, member: int, slash: HeldSlash, committee: Sequence[int], reveals: int
    ) -> None:
        self.appeals += 1
        seeds = [compute_seed(self.random.bytes(32), _APPEALS, self.appeals, n) for n in (1, 2)]
        partial = {m for m in self.cheating_validators if self.cast.validator.is_partial}
        weights = self._weights({*committee, member})
        hearing = Hearing.hold(self.terms.committee_size, weights, partial, seeds)
        account = self.book.accounts[member]
        self._settle_bonds(account, hearing)
        if not hearing.overturned:
            return self.book.hold(slash)
        account.stake = replace(account.stake, free=Wei(account.stake.free + slash.amount))
        account.slashed -= slash.amount
        return self._make_good(account, committee, reveals)

    def _settle_bonds(self, account: Account, hearing: Hearing) -> None:
        """A lost bond goes to the treasury: an invalid update has no prover who could have it."""
        lost = hearing.bonds_lost * self.terms.min_stake
        account.wallet -= lost
        account.has_given_up = lost > 0
        self.book.others["treasury"] += lost

    def _make_good(self, account: Account, committee: Sequence[int], reveals: int) -> None:
        part = Hearing.compute_part(self.terms, reveals, committee)
        for judge in committee:
            payer = self.book.accounts[judge]
            payer.stake, taken = stakes.take_stake(payer.stake, part)
            payer.slashed += taken
            account.stake = replace(account.stake, free=Wei(account.stake.free + taken))
            account.slashed -= taken

    # Who does what

    def _among(self, members: range) -> list[int]:
        return [member for member in members if member in self.active]

    def _trainer(self, member: int) -> TrainerStrategy:
        return self.cast.trainer if member in self.cheating_trainers else TRAINERS[HONEST]

    def _validator(self, member: int) -> ValidatorStrategy:
        return self.cast.validator if member in self.cheating_validators else VALIDATORS[HONEST]

    def _is_present(self, member: int) -> bool:
        presence = self._validator(member).presence
        return presence == 1.0 or float(self.random.random()) < presence

    def _charge_trainers(self, members: Sequence[int]) -> None:
        for member in members:
            cost = self.costs.training if self._trainer(member).trains else self.costs.sending
            self.book.accounts[member].spent += cost

    def _charge_validator(self, member: int, strategy: ValidatorStrategy) -> None:
        cost = self.costs.judging if strategy.judges else self.costs.guessing
        self.book.accounts[member].spent += cost
