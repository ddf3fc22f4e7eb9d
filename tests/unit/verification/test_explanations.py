"""Why a member was paid what it was paid: from events that the protocol's own functions made."""

from __future__ import annotations

from dataclasses import replace

import pytest
from honest_job import make_honest_job

from commonweal.protocol import events as ev
from commonweal.protocol.merkle import is_proven
from commonweal.protocol.types import SCORE_INVALID, SCORE_UNAVAILABLE
from commonweal.verification.evidence import JobRecord, gather
from commonweal.verification.explanations import SENTENCES, RoundPay, explain_member

JOB = make_honest_job()
LAST = 3  # the member whom everybody gives 0


def record(*kept: ev.ChainEvent) -> JobRecord:
    return gather(kept or JOB.events)


def explain(member: int, events: JobRecord | None = None) -> tuple[RoundPay, ...]:
    return explain_member(events or record(), member, JOB.quantum)


def bytes_of(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def test_a_verified_update_is_paid_and_a_failed_round_pays_nobody() -> None:
    rounds = explain(0)
    assert [(each.round, each.reason) for each in rounds] == [
        (1, "paid"), (2, "round-failed"), (3, "paid"),
    ]  # fmt: skip
    assert rounds[1].failure == "TOO_FEW_BALLOTS"
    assert rounds[1].paid_wei == 0


def test_what_was_paid_adds_up_to_what_the_member_earned() -> None:
    for member, earned in JOB.earned.items():
        assert sum(each.paid_wei for each in explain(member)) == earned


def test_a_rejected_update_has_its_score_and_a_seat_is_paid_all_the_same() -> None:
    seated = next(each for each in explain(LAST) if each.seat is not None)
    assert (seated.reason, seated.score) == ("rejected", 0)
    assert seated.paid_wei > 0
    assert seated.seat_share_bps is not None
    unseated = [each for member in range(3) for each in explain(member) if each.seat is None]
    assert all(each.seat_share_bps is None for each in unseated)


def test_the_proof_of_a_verdict_leads_to_the_root_on_chain() -> None:
    for member in range(4):
        for each in explain(member):
            if each.proof is None:
                assert each.reason == "round-failed"
                continue
            siblings = [bytes_of(text) for text in each.proof.siblings]
            root, leaf = bytes_of(each.proof.root), bytes_of(each.proof.leaf)
            assert root == JOB.roots[each.round]
            assert is_proven(root, leaf, siblings)
            assert not is_proven(root, leaf, siblings[:-1])


@pytest.mark.parametrize(
    ("score", "reason"), [(SCORE_INVALID, "invalid"), (SCORE_UNAVAILABLE, "unavailable")]
)
def test_faulty_updates_are_told_apart(score: int, reason: str) -> None:
    tallied = next(each for each in JOB.events if isinstance(each, ev.RoundTallied))
    changed = replace(tallied, scores=score.to_bytes(2) + tallied.scores[2:])
    events = [changed if each is tallied else each for each in JOB.events]
    assert explain(0, record(*events))[0].reason == reason


def test_who_sent_nothing_or_opened_nothing_is_told_so() -> None:
    assert explain(9)[0].reason == "not-committed"
    closed = [
        replace(each, opened=each.opened - 1, openings=each.openings[:32] + each.openings[48:])
        if isinstance(each, ev.UpdatesRevealed)
        else each
        for each in JOB.events
    ]
    kept = [each for each in closed if not isinstance(each, ev.RoundTallied)]
    assert explain(0, record(*kept))[0].reason == "not-revealed"


def test_a_round_in_flight_is_open() -> None:
    until = next(i for i, each in enumerate(JOB.events) if isinstance(each, ev.RoundTallied))
    (only,) = explain(0, record(*JOB.events[:until]))
    assert (only.reason, only.score, only.paid_wei, only.proof) == ("round-open", None, 0, None)


def test_each_reason_has_its_sentence() -> None:
    shown = explain(0)[0].to_json()
    assert shown["why"] == SENTENCES["paid"]
