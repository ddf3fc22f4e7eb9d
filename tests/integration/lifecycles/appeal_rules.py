"""The rules by which slashes and models are appealed; Lifecycle has all the others."""

from __future__ import annotations

from appeal_model import AppealModel, Trial
from appeal_player import AppealPlayer, JuryPlan
from choosing import choices, pick
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from commonweal.protocol.types import Address

APPELLANTS = 4

appellants = st.integers(0, APPELLANTS - 1)
plans = st.builds(
    JuryPlan,
    diligence=st.sampled_from((1.0, 1.0, 0.8, 0.4)),
    leaning=st.sampled_from((0.0, 0.5, 1.0, 1.0)),
    again=st.booleans(),
    seed=st.integers(0, 2**16),
)


class AppealRules(RuleBasedStateMachine):
    model: AppealModel
    court: AppealPlayer
    owners: list[Address]
    outsider: Address  # has money and no part in any job

    @precondition(lambda self: self._disputable())
    @rule(choice=choices, who=appellants)
    def appeal(self, choice: int, who: int) -> None:
        anything = [(slash, 0, 0) for slash in range(1, len(self.model.slashes) + 2)] + [(0, 1, 1)]
        slash, job, round_ = pick(choice, self._disputable(), anything)
        if slash:
            self.court.appeal_slash(slash, self._appellant(who))
        else:
            self.court.appeal_model(job, round_, self._appellant(who))

    @precondition(lambda self: self.model.trials)
    @rule(choice=choices, stages=st.sampled_from((1, 2, 8)), plan=plans, who=appellants)
    def judge(self, choice: int, stages: int, plan: JuryPlan, who: int) -> None:
        """So many stages of a case; of one that is closed, what it refuses."""
        trials = list(enumerate(self.model.trials, start=1))
        under_way = [number for number, trial in trials if trial.is_open]
        number = pick(choice, under_way, [number for number, _ in trials])
        trial = self.model.trials[number - 1]
        if not trial.is_open:
            return self._refuse_closed(number, who)
        for _ in range(stages):
            if trial.is_open:
                self.court.play_stage(number, plan, self._appellant(who))
        return None

    def _refuse_closed(self, number: int, who: int) -> None:
        self.court.advance(number)
        self.court.appeal_again(number, self._appellant(who))

    @precondition(lambda self: self.model.owed)
    @rule(choice=choices)
    def take_owed(self, choice: int) -> None:
        creditors = [Address(name) for name in self.model.owed]
        self.court.take_owed(pick(choice, creditors, self.owners))

    def verdicts(self) -> list[str]:
        """Of all closed cases."""
        return [_describe(trial) for trial in self.model.trials if not trial.is_open]

    def _appellant(self, who: int) -> Address:
        return [self.outsider, *self.owners][who]

    def _disputable(self) -> list[tuple[int, int, int]]:
        """(slash, 0, 0) or (0, job, round), while nobody has appealed it."""
        known = {(its.slash, its.job, its.round) for its in self.model.trials}
        tried = {slash for slash, _, _ in known}
        fresh = [
            (slash, 0, 0)
            for slash in self.model.offences
            if slash not in tried and not self.model.slashes[slash - 1].settled
        ]
        rounds = [(0, *slot) for slot, past in self.model.past.items() if past.finalised_at]
        return fresh + [slot for slot in rounds if slot not in known]


def _describe(trial: Trial) -> str:
    what = "slash" if trial.slash else "model"
    return f"{what} {'overturned' if trial.overturned else 'upheld'}"
