"""decide() as a table, and what must hold for every view."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from agent_samples import (
    BOTH,
    MEMBERS,
    NOW,
    OTHERS,
    POLICY,
    make_round,
    make_view,
    sign_ballot,
    sign_model,
    sign_update,
)
from hypothesis import given
from hypothesis import strategies as st

from commonweal.protocol.types import JobState, Phase, Role, Wei
from node_agent.decisions import (
    TOO_MUCH_STAKE,
    ComputeAndAttestModel,
    Join,
    Policy,
    RevealBallot,
    RevealUpdate,
    ScoreAndCommitBallot,
    SendSigned,
    TrainAndCommit,
    Wait,
    decide,
)
from node_agent.journal import Slot, SlotEntry

UPDATE, BALLOT, MODEL = sign_update(), sign_ballot(), sign_model()
JOURNAL = {(e.job, e.round, e.slot): e for e in (UPDATE, BALLOT, MODEL)}
ENDS = NOW + 60
SEATED = frozenset({0})
ME = frozenset({1})

TABLE: dict[str, tuple[Phase, dict[str, Any], dict[Any, SlotEntry], Any]] = {
    "trains": (Phase.COMMIT, {}, {}, TrainAndCommit(1, 1, 1, ENDS)),
    "sends the same commitment again": (
        Phase.COMMIT,
        {},
        JOURNAL,
        SendSigned(UPDATE.message, ENDS),
    ),
    "has committed": (Phase.COMMIT, {"committed": ME}, JOURNAL, Wait(1, "committed")),
    "did not commit": (Phase.REVEAL, {}, JOURNAL, Wait(1, "not committed")),
    "has revealed": (
        Phase.REVEAL,
        {"committed": ME, "revealed": ME},
        JOURNAL,
        Wait(1, "revealed"),
    ),
    "lost its journal": (
        Phase.REVEAL,
        {"committed": ME},
        {},
        Wait(1, "committed by another journal"),
    ),
    "scores": (Phase.BALLOT_COMMIT, {}, {}, ScoreAndCommitBallot(1, 1, 1, 0, ENDS)),
    "sends the same ballot again": (
        Phase.BALLOT_COMMIT,
        {},
        JOURNAL,
        SendSigned(BALLOT.message, ENDS),
    ),
    "has no seat": (Phase.BALLOT_COMMIT, {"committee": (0, 2, 3)}, {}, Wait(1, "no seat")),
    "ballot is in": (
        Phase.BALLOT_COMMIT,
        {"ballots_committed": SEATED},
        JOURNAL,
        Wait(1, "ballot committed"),
    ),
    "no ballot to reveal": (Phase.BALLOT_REVEAL, {}, JOURNAL, Wait(1, "no ballot to reveal")),
    "ballot revealed": (
        Phase.BALLOT_REVEAL,
        {"ballots_committed": SEATED, "ballots_revealed": SEATED},
        JOURNAL,
        Wait(1, "ballot revealed"),
    ),
    "computes the model": (Phase.ATTEST, {}, {}, ComputeAndAttestModel(1, 1, 0, ENDS)),
    "sends the same attestation again": (
        Phase.ATTEST,
        {},
        JOURNAL,
        SendSigned(MODEL.message, ENDS),
    ),
    "attested": (Phase.ATTEST, {"attested": SEATED}, JOURNAL, Wait(1, "attested")),
    "between rounds": (Phase.NONE, {}, {}, Wait(1, "no round in flight")),
}


@pytest.mark.parametrize("name", TABLE)
def test_decides_by_the_table(name: str) -> None:
    phase, changes, journal, want = TABLE[name]
    assert decide(make_view(make_round(phase, **changes)), journal, NOW, POLICY) == (want,)


def test_reveals_exactly_what_the_journal_opens() -> None:
    view = make_view(make_round(Phase.REVEAL, committed=ME))
    (action,) = decide(view, JOURNAL, NOW, POLICY)
    assert isinstance(action, RevealUpdate)
    assert bytes.fromhex(action.message.digest[2:]) == UPDATE.content
    assert bytes.fromhex(action.message.salt[2:]) == UPDATE.salt
    assert action.message.member == 1


def test_reveals_the_ballot_it_committed() -> None:
    view = make_view(make_round(Phase.BALLOT_REVEAL, ballots_committed=SEATED))
    (action,) = decide(view, JOURNAL, NOW, POLICY)
    assert isinstance(action, RevealBallot)
    assert (action.message.seat, action.message.scores) == (0, (0, 7))
    assert bytes.fromhex(action.message.salt[2:]) == BALLOT.salt


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.NONE])
def test_does_nothing_once_the_deadline_is_there(phase: Phase) -> None:
    view = make_view(make_round(phase, committed=ME, ballots_committed=SEATED))
    assert decide(view, JOURNAL, ENDS, POLICY) == (Wait(1, "the phase is over"),)


def test_a_seat_that_changed_changes_no_signature() -> None:
    view = make_view(make_round(Phase.BALLOT_COMMIT, committee=(0, 3, 1)))
    (action,) = decide(view, JOURNAL, NOW, POLICY)
    assert isinstance(action, SendSigned)
    assert action.message == BALLOT.message.model_copy(update={"seat": 2})


def test_a_validator_does_not_train() -> None:
    view = make_view(make_round(Phase.COMMIT))
    member = replace(MEMBERS[1], roles=Role.VALIDATOR)
    view = replace(view, jobs=(replace(view.jobs[0], member=member),))
    assert decide(view, {}, NOW, POLICY) == (Wait(1, "not a trainer"),)


JOINS: dict[str, tuple[dict[str, Any], Any]] = {
    "recruiting": ({"state": JobState.RECRUITING}, Join(1, BOTH, Wei(50), 0)),
    "running": ({}, Join(1, BOTH, Wei(50), 0)),
    "no place for a trainer": ({"active_trainers": 4}, Join(1, Role.VALIDATOR, Wei(50), 0)),
    "over": ({"state": JobState.COMPLETED}, Wait(1, "over")),
    "cancelling": ({"state": JobState.CANCELLING}, Wait(1, "takes no members")),
    "jailed": ({"jailed_until": 5}, Wait(1, "jailed")),
    "poor": ({"free": Wei(49)}, Wait(1, "too little free stake")),
    "trainer only, and full": (
        {"active_trainers": 4, "roles": Role.TRAINER},
        Wait(1, "no role left to take"),
    ),
}


@pytest.mark.parametrize("name", JOINS)
def test_joins_by_the_table(name: str) -> None:
    changes, want = JOINS[name]
    view = make_view(make_round(Phase.NONE), joined=False, **changes)
    assert decide(view, {}, NOW, POLICY) == (want,)


MIN_STAKE = 50  # of the job
STAKES: dict[str, tuple[int, int, Policy, bool]] = {
    "half of all stake": (100, 0, POLICY, True),
    "more than half": (99, 0, POLICY, False),
    "half, most of it locked in other jobs": (50, 50, POLICY, True),
    "allowed by the operator": (60, 0, replace(POLICY, max_stake_per_job=Wei(50)), True),
    "too much for the operator": (999, 0, replace(POLICY, max_stake_per_job=Wei(49)), False),
    "more than half of it, as the operator wishes": (
        100,
        0,
        replace(POLICY, stake_per_job=Wei(80)),
        True,
    ),
}


@pytest.mark.parametrize("name", STAKES)
def test_one_job_cannot_lock_everything(name: str) -> None:
    free, locked, policy, joins = STAKES[name]
    view = make_view(make_round(Phase.NONE), joined=False, free=Wei(free))
    view = replace(view, account=replace(view.account, locked=Wei(locked)))
    assert view.jobs[0].job.parameters.min_stake == MIN_STAKE
    stake = Wei(max(MIN_STAKE, policy.stake_per_job))
    want = Join(1, BOTH, stake, 0) if joins else Wait(1, TOO_MUCH_STAKE)
    assert decide(view, {}, NOW, policy) == (want,)


@pytest.mark.parametrize(
    ("policy", "objection"),
    [
        ({"requesters": frozenset({OTHERS[3]})}, None),
        ({"requesters": frozenset()}, "not a requester"),
        ({"min_pay_per_round": Wei(18)}, None),  # 75 of 100 to at most 4 trainers
        ({"min_pay_per_round": Wei(19)}, "pays too little"),
        ({"hours": (22, 1)}, None),
        ({"hours": (0, 1)}, None),
        ({"hours": (1, 0)}, "outside of the hours"),
        ({"hours": (8, 20)}, "outside of the hours"),
    ],
)
def test_joins_what_the_operator_allows(policy: dict[str, Any], objection: str | None) -> None:
    outside = make_view(make_round(Phase.NONE), joined=False)
    (action,) = decide(outside, {}, NOW, replace(POLICY, **policy))
    if objection is None:
        assert isinstance(action, Join)
    else:
        assert isinstance(action, Wait)
        assert action.reason.startswith(objection)


def test_hours_do_not_keep_a_member_from_its_work() -> None:
    closed = replace(POLICY, hours=(1, 2), requesters=frozenset())
    view = make_view(make_round(Phase.COMMIT))
    assert decide(view, {}, NOW, closed) == decide(view, {}, NOW, POLICY)


def test_does_not_join_while_the_draw_is_pending() -> None:
    view = make_view(make_round(Phase.REVEAL), joined=False)
    assert decide(view, {}, NOW, POLICY) == (Wait(1, "membership is closed until the draw"),)


@pytest.mark.parametrize(
    "policy",
    [replace(POLICY, allowed=frozenset({2})), replace(POLICY, refused=frozenset({1}))],
)
def test_policy_keeps_it_out_of_jobs_but_not_from_its_duties(policy: Any) -> None:
    outside = make_view(make_round(Phase.NONE), joined=False)
    assert decide(outside, {}, NOW, policy) == (Wait(1, "not admitted by the node's policy"),)
    inside = make_view(make_round(Phase.REVEAL, committed=ME))
    assert isinstance(decide(inside, JOURNAL, NOW, policy)[0], RevealUpdate)


def test_the_nearest_deadline_comes_first() -> None:
    late, soon = make_view(make_round(Phase.COMMIT, ends_at=NOW + 90)), make_round(Phase.COMMIT)
    other = replace(late.jobs[0], round=replace(soon, job=2), job=replace(late.jobs[0].job, job=2))
    actions = decide(replace(late, jobs=(*late.jobs, other)), {}, NOW, POLICY)
    assert [action.job for action in actions] == [2, 1]


sets = st.frozensets(st.integers(0, 3))
rounds = st.builds(
    make_round,
    st.sampled_from([p for p in Phase if p is not Phase.NONE]),
    committed=sets,
    revealed=sets,
    ballots_committed=sets,
    ballots_revealed=sets,
    attested=sets,
    committee=st.permutations(range(4)).map(lambda order: tuple(order[:3])),
    ends_at=st.integers(NOW - 60, NOW + 60),
)
journals = st.sets(st.sampled_from(sorted(JOURNAL))).map(lambda keys: {k: JOURNAL[k] for k in keys})
SIGNING = {
    TrainAndCommit: Slot.UPDATE,
    ScoreAndCommitBallot: Slot.BALLOT,
    ComputeAndAttestModel: Slot.ATTESTATION,
}


@given(rounds, journals)
def test_never_signs_a_slot_twice_and_never_acts_late(round_: Any, journal: Any) -> None:
    (action,) = decide(make_view(round_), journal, NOW, POLICY)
    if round_.ends_at <= NOW:
        assert isinstance(action, Wait)
    if slot := SIGNING.get(type(action)):
        assert (1, 1, slot) not in journal
    if isinstance(action, RevealUpdate):
        assert 1 in round_.committed - round_.revealed
    if isinstance(action, RevealBallot):
        assert action.message.seat in round_.ballots_committed - round_.ballots_revealed


@given(rounds, journals)
def test_deciding_twice_is_deciding_the_same(round_: Any, journal: Any) -> None:
    view = make_view(round_)
    assert decide(view, journal, NOW, POLICY) == decide(view, dict(journal), NOW, POLICY)
