"""Appeals, modelled on top of rounds: bonds, juries, what is given back and who pays for it.

Written from docs/protocol.md, like the rest of the model. Who is drawn comes from
commonweal.protocol, which is compared with the contracts elsewhere; stages, deadlines, bonds and
restitution do not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from money_model import Job, Refused, Slash, require
from round_model import Past, ProtocolModel, Tick

from commonweal.protocol.appeals import Stage, compute_jury_size
from commonweal.protocol.committee import compute_seed, compute_weight, draw_committee
from commonweal.protocol.stakes import compute_slash
from commonweal.protocol.types import (
    ABANDONED_AFTER,
    BPS,
    HASHES_KEPT,
    SEED_DELAY,
    Address,
    Fault,
    JobState,
    ProtocolParameters,
    Role,
    Wei,
)

FROZEN = 2**64 - 1
NOBODY = ""


@dataclass
class Trial:
    """A slash, or a round's model, that somebody does not accept."""

    job: int
    round: int
    slash: int  # 0: the model
    member: int | None  # who was slashed
    committee: tuple[int, ...]  # whose work it is about
    attesters: set[int]  # seats
    reveals: int  # 0: no update is in question
    bond: int
    defender: str  # who gains if a slash is upheld
    appellants: list[str]  # by level
    stage: Stage = Stage.DRAWING
    seed_block: int = 0
    ends_at: int = 0
    juries: list[tuple[int, ...]] = field(default_factory=list)  # by level
    sealed: set[int] = field(default_factory=set)  # seats
    opened: dict[int, bool] = field(default_factory=dict)  # votes by seat
    found: list[bool] = field(default_factory=list)  # by level: overturned, as far as it is valid

    @property
    def level(self) -> int:
        return len(self.appellants)

    @property
    def is_open(self) -> bool:
        return self.stage is not Stage.CLOSED

    @property
    def overturned(self) -> bool:
        return bool(self.found) and self.found[-1]


class AppealModel(ProtocolModel):
    def __init__(
        self,
        rules: ProtocolParameters,
        wallets: dict[str, int],
        rounds_contract: Address,
        appeals_contract: Address,
    ) -> None:
        super().__init__(rules, wallets, rounds_contract)
        self._court = appeals_contract
        self.trials: list[Trial] = []
        self.owed: Counter[str] = Counter()
        self.offences: dict[int, tuple[int, int, int, Fault]] = {}  # by slash, from 1

    def prove(self, fault: Fault, job: int, round_: int, place: int, tick: Tick) -> None:
        known = len(self.slashes)
        super().prove(fault, job, round_, place, tick)
        if len(self.slashes) > known:
            past = self.past.get((job, round_), Past())
            member = past.committee[place] if fault is Fault.ABSENT else place
            self.offences[len(self.slashes)] = (job, round_, member, fault)

    def is_draw_pending(self, job: int) -> bool:
        drawing = any(its.job == job and its.stage is Stage.DRAWING for its in self.trials)
        return drawing or super().is_draw_pending(job)

    def _require_final(self, its: Job, now: int) -> None:
        super()._require_final(its, now)
        mine = [trial for trial in self.trials if self._job(trial.job) is its]
        require(not any(trial.is_open for trial in mine), "StillAppealable")

    # Opening

    def appeal_slash(self, slash: int, tick: Tick) -> None:
        require(all(its.slash != slash for its in self.trials), "AlreadyAppealed")
        require(slash in self.offences, "NotAppealable")
        held = self.slashes[slash - 1]
        require(tick.now < held.settleable_at, "AppealTooLate")
        job, round_, member, fault = self.offences[slash]
        past = self.past.get((job, round_), Past())
        judged = fault in (Fault.INVALID_UPDATE, Fault.ABSENT)  # others no committee decided
        wronged = fault is Fault.INVALID_UPDATE
        trial = Trial(
            job=job,
            round=round_,
            slash=slash,
            member=member,
            committee=past.committee if judged else (),
            attesters=set(),
            reveals=len(past.verdicts) if wronged else 0,
            bond=self._job(job).parameters.min_stake,
            defender=NOBODY if wronged else held.prover,
            appellants=[tick.sender],
        )
        self._open_trial(trial, tick)
        held.settleable_at = FROZEN

    def appeal_model(self, job: int, round_: int, tick: Tick) -> None:
        same = [its for its in self.trials if (its.job, its.round, its.slash) == (job, round_, 0)]
        require(not same, "AlreadyAppealed")
        past = self.past.get((job, round_), Past())
        require(past.finalised_at != 0, "SettlementWrong")
        require(tick.now < past.finalised_at + self.rules.appeal_window, "AppealTooLate")
        trial = Trial(
            job=job,
            round=round_,
            slash=0,
            member=None,
            committee=past.committee,
            attesters=past.attesters,
            reveals=len(past.verdicts),
            bond=self._job(job).parameters.min_stake,
            defender=NOBODY,
            appellants=[tick.sender],
        )
        self._open_trial(trial, tick)

    def appeal_again(self, appeal: int, tick: Tick) -> None:
        its = self._trial(appeal)
        require(its.stage is Stage.DECIDED, "StageWrong")
        require(tick.now < its.ends_at, "StageOver")
        self._pay(tick.sender, 2 * its.bond)
        its.appellants.append(tick.sender)
        self._await_seed(its, tick)

    def take_owed(self, account: str) -> None:
        require(self.owed[account] > 0, "NothingOwed")
        self.wallets[account] += self.owed.pop(account)

    # The jury

    def draw_jury(self, appeal: int, tick: Tick) -> None:
        its = self._trial(appeal)
        require(its.stage is Stage.DRAWING, "StageWrong")
        require(tick.block > its.seed_block, "SeedPending")
        require(tick.block <= its.seed_block + HASHES_KEPT, "HeaderWrong")
        terms = self._job(its.job).parameters
        size = compute_jury_size(terms.committee_size, its.level)
        seed = compute_seed(tick.randao_of(its.seed_block), self._court, appeal, its.level)
        its.juries.append(draw_committee(self._jurors_for(its), size, seed))
        its.stage, its.ends_at = Stage.COMMIT, tick.now + terms.ballot_commit_window
        if len(its.juries[-1]) < size:
            self._decide(its, None, tick)

    def seal_votes(self, appeal: int, seats: set[int], tick: Tick) -> None:
        its = self._in_court(appeal, Stage.COMMIT, tick)
        members = self._job(its.job).members
        require(all(members[its.juries[-1][seat]].active for seat in seats), "SeatSignatureWrong")
        its.sealed |= seats
        if len(its.sealed) == len(its.juries[-1]):
            self._open_votes(its, tick)

    def open_vote(self, appeal: int, seat: int, overturn: bool, tick: Tick) -> None:
        its = self._in_court(appeal, Stage.REVEAL, tick)
        its.opened[seat] = overturn
        if len(its.opened) == len(its.sealed):
            self._count_votes(its, tick)

    def advance_appeal(self, appeal: int, tick: Tick) -> None:
        its = self._trial(appeal)
        require(its.stage is not Stage.CLOSED, "StageWrong")
        if its.stage is Stage.DRAWING:
            return self._advance_drawing(its, tick)
        require(tick.now >= its.ends_at, "StageNotOver")
        if its.stage is Stage.COMMIT:
            return self._open_votes(its, tick)
        if its.stage is Stage.REVEAL:
            return self._count_votes(its, tick)
        return self._close(its, valid=True, tick=tick)

    def _open_trial(self, its: Trial, tick: Tick) -> None:
        self._pay(tick.sender, its.bond)
        self.trials.append(its)
        self._hold(its, 1)
        self._await_seed(its, tick)

    def _hold(self, its: Trial, holds: int) -> None:
        """Whoever decided could have to pay for it."""
        for member in its.committee:
            self.holds[self._job(its.job).members[member].provider] += holds

    def _await_seed(self, its: Trial, tick: Tick) -> None:
        its.stage, its.sealed, its.opened = Stage.DRAWING, set(), {}
        its.seed_block, its.ends_at = tick.block + SEED_DELAY, tick.now + ABANDONED_AFTER

    def _advance_drawing(self, its: Trial, tick: Tick) -> None:
        if tick.now >= its.ends_at:
            return self._decide(its, None, tick)
        require(tick.block > its.seed_block, "SeedPending")
        require(tick.block > its.seed_block + HASHES_KEPT, "DrawDue")
        its.seed_block = tick.block + SEED_DELAY
        return None

    def _jurors_for(self, its: Trial) -> list[tuple[int, int]]:
        """(member, weight) of the validators who neither decided before, nor are a party."""
        job = self._job(its.job)
        parties = {its.member, *map(job.find, its.appellants)}
        barred = {*its.committee, *(member for jury in its.juries for member in jury), *parties}
        members = [member for member in job.active(Role.VALIDATOR) if member not in barred]
        return [(member, compute_weight(Wei(job.members[member].stake))) for member in members]

    def _open_votes(self, its: Trial, tick: Tick) -> None:
        window = self._job(its.job).parameters.ballot_reveal_window
        its.stage, its.ends_at = Stage.REVEAL, tick.now + window
        if not its.sealed:
            self._count_votes(its, tick)

    def _count_votes(self, its: Trial, tick: Tick) -> None:
        """More than half of the jury must have voted, and more than half of these to overturn."""
        votes, against = len(its.opened), sum(its.opened.values())
        quorum = 2 * votes > len(its.juries[-1])
        self._decide(its, 2 * against > votes if quorum else None, tick)

    def _decide(self, its: Trial, verdict: bool | None, tick: Tick) -> None:
        """None: nobody could decide, so what stood before stands."""
        its.ends_at = tick.now + self.rules.appeal_window
        valid = verdict is not None
        its.found.append(its.overturned if verdict is None else verdict)
        if valid and its.level == 1:
            its.stage = Stage.DECIDED
        else:
            self._close(its, valid, tick)

    # What follows

    def _close(self, its: Trial, valid: bool, tick: Tick) -> None:
        its.stage = Stage.CLOSED
        self._hold(its, -1)
        self._settle_bonds(its, valid)
        if its.slash and its.overturned:
            self._make_whole(its)
        elif its.slash:
            self.slashes[its.slash - 1].settleable_at = tick.now
        elif its.overturned:
            self._undo_model(its, tick)

    def _settle_bonds(self, its: Trial, valid: bool) -> None:
        """Each level says that what stood before it is wrong. Whoever was not heard is repaid."""
        stood = [False, *its.found]
        for at, appellant in enumerate(its.appellants):
            bond, last = its.bond << at, at + 1 == its.level
            right = its.overturned != stood[at]
            if right or (last and not valid):
                self.owed[appellant] += bond
            else:
                self._forfeit(bond, self._winner_against(its, at))

    def _winner_against(self, its: Trial, at: int) -> str:
        """The other appellant if the case went its way, else whoever defends the slash."""
        others = [who for level, who in enumerate(its.appellants) if level != at]
        stood = [False, *its.found]
        won = [level for level in range(its.level) if its.overturned != stood[level]]
        return others[0] if others and set(won) - {at} else its.defender

    def _forfeit(self, bond: int, winner: str) -> None:
        half = bond // 2 if winner else 0
        self.owed[winner] += half
        self.owed[self.rules.treasury] += bond - half
        self.owed += Counter()  # without those who are owed nothing

    def _make_whole(self, its: Trial) -> None:
        """What was taken comes back; for an update that was not paid, those who judged it pay."""
        held, job = self.slashes[its.slash - 1], self._job(its.job)
        held.settled = True
        stake = self.stakes[held.provider]
        stake.give(held.amount)
        if not its.reveals:
            stake.missed = stake.jailed_until = 0
            return
        part = _missing_pay(job, its.reveals) // len(its.committee)
        for member in its.committee:
            stake.give(self.stakes[job.members[member].provider].take(part))

    def _undo_model(self, its: Trial, tick: Tick) -> None:
        """Its attesters pay the requester for the rounds since; the job stops."""
        job = self._job(its.job)
        since = min(self.round(its.job).number + 1 - its.round, job.finalised)
        damage = since * job.parameters.price_per_round
        for seat in sorted(its.attesters):
            member = job.members[its.committee[seat]]
            asked = compute_slash(self.rules, Fault.INVALID_UPDATE, Wei(member.stake))
            taken = self.stakes[member.provider].take(asked)
            paid = min(taken, damage)
            damage -= paid
            self.slashes.append(Slash(member.provider, taken, paid, job.requester, tick.now))
        if not job.state.is_over:
            job.state = JobState.CANCELLING
            job.failed += 1
            self._next(its.job, tick)

    def _trial(self, appeal: int) -> Trial:
        require(1 <= appeal <= len(self.trials), "AppealUnknown")
        return self.trials[appeal - 1]

    def _in_court(self, appeal: int, stage: Stage, tick: Tick) -> Trial:
        its = self._trial(appeal)
        assert its.stage is stage
        if tick.now >= its.ends_at:
            raise Refused("StageOver")
        return its


def _missing_pay(job: Job, reveals: int) -> int:
    """An equal part of what the round had for its trainers."""
    terms = job.parameters
    price = terms.price_per_round
    shares = (terms.validator_share_bps, terms.coordinator_share_bps)
    pool = price - sum(price * share // BPS for share in shares)
    return pool // max(reveals, terms.min_trainers)
