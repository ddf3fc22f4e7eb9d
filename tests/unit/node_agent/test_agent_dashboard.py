"""The live view: what it remembers from look to look, and how that is drawn."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from agent_samples import ME, MEMBERS, NOW, POLICY, make_round, make_view
from rich.console import Console

from commonweal.learning.training import TrainingProgress
from commonweal.protocol.batches import RoundRecord
from commonweal.protocol.commitments import pack_scores
from commonweal.protocol.types import Digest, JobState, Phase, Score, Wei
from node_agent.dashboard import (
    KEPT_RESULTS,
    Dashboard,
    RoundResult,
    describe_verdict,
    note_progress,
    observe,
)
from node_agent.decisions import TrainAndCommit, Wait, decide
from node_agent.livescreen import LiveScreen, render
from node_agent.view import NodeView

TRAIN = TrainAndCommit(1, 1, 1, NOW + 60)


def record(job: int = 1, round_: int = 1, *scores: int) -> RoundRecord:
    digests = {member: Digest(bytes([member]) * 32) for member in range(len(scores))}
    return RoundRecord(
        job, round_, digests=digests, scores=pack_scores([Score(score) for score in scores])
    )


def see(view: NodeView, round_: int, credit: int, **job: Any) -> NodeView:
    """`view`, one round on, with what this node has been credited by then."""
    (seen,) = view.jobs
    me = replace(MEMBERS[1], credit=Wei(credit))
    its = replace(seen.round, round=round_)
    return replace(view, jobs=(replace(seen, job=replace(seen.job, **job), round=its, member=me),))


VIEW = make_view(make_round(Phase.COMMIT))


def test_a_round_that_ended_leaves_its_verdict_and_pay() -> None:
    asked = []

    def record_of(job: int, round_: int) -> RoundRecord:
        asked.append((job, round_))
        return record(job, round_, 5, 812)

    board = observe(Dashboard(), VIEW, [TRAIN], record_of)
    board = observe(board, VIEW, [Wait(1, "committed")], record_of)
    assert (board.jobs[1].doing, board.jobs[1].results, asked) == ("committed", (), [])
    board = observe(board, see(VIEW, 2, 7, finalised_rounds=1), [TRAIN], record_of)
    assert board.jobs[1].results == (RoundResult(1, "verified, score 812", Wei(7)),)
    assert (board.earned, board.claimable, asked) == (7, 7, [(1, 1)])


def test_a_claim_between_two_rounds_takes_nothing_from_what_was_earned() -> None:
    board = observe(Dashboard(), see(VIEW, 1, 50), [TRAIN], lambda *_: record())
    board = observe(board, see(VIEW, 2, 0), [TRAIN], lambda *_: record())
    assert (board.earned, board.claimable) == (0, 0)


def test_a_failed_round_says_so_and_asks_for_no_verdict() -> None:
    def never(*_: int) -> RoundRecord:
        raise AssertionError

    board = observe(Dashboard(), VIEW, [TRAIN], never)
    board = observe(board, see(VIEW, 2, 0, failed_rounds=1), [TRAIN], never)
    assert [result.verdict for result in board.jobs[1].results] == ["round failed"]


def test_only_the_latest_results_are_kept() -> None:
    board = Dashboard()
    for round_ in range(1, KEPT_RESULTS + 4):
        board = observe(board, see(VIEW, round_, 0), [TRAIN], lambda *_: record(1, 1, 0, 0))
    assert [result.round for result in board.jobs[1].results] == [3, 4, 5, 6]


@pytest.mark.parametrize(
    ("scores", "verdict"),
    [
        ((9, 812), "verified, score 812"),
        ((9, 0), "rejected"),
        ((9, 65535), "invalid"),
        ((9, 65534), "unavailable"),
        ((9,), "no update"),
        ((), "no update"),
    ],
)
def test_verdicts_in_words(scores: tuple[int, ...], verdict: str) -> None:
    assert describe_verdict(record(1, 1, *scores), member=1) == verdict


def test_jobs_of_others_go_when_they_are_over() -> None:
    outside = make_view(make_round(Phase.NONE), joined=False, free=Wei(0))
    reasons = decide(outside, {}, NOW, POLICY)
    board = observe(Dashboard(), outside, reasons, lambda *_: record())
    assert board.jobs[1].doing == "too little free stake"
    over = make_view(make_round(Phase.NONE), joined=False, state=JobState.COMPLETED)
    assert observe(board, over, [], lambda *_: record()).jobs == {}


def draw(board: Dashboard, width: int = 110) -> str:
    console = Console(file=io.StringIO(), width=width, height=40)
    console.print(render(board, now=NOW + 20))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_the_view_shows_phase_job_training_verdicts_and_earnings() -> None:
    paid = 5 * 10**18
    board = observe(Dashboard(), VIEW, [TRAIN], lambda *_: record(1, 1, 5, 812))
    board = observe(board, see(VIEW, 2, paid), [TRAIN], lambda *_: record(1, 1, 5, 812))
    drawn = draw(note_progress(board, TrainingProgress(30, 120, 0.25)))
    for text in (
        ME, "block 10", "earned 5.00 since the start", "5.00 to claim", "2 of 2", "commit",
        "40 s", "1: verified, score 812, 5.00 tokens", "25 %", "loss 0.2500",
    ):  # fmt: skip
        assert text in drawn
    after = observe(board, see(VIEW, 2, paid), [Wait(1, "committed")], lambda *_: record())
    assert "loss" not in draw(after)


def test_a_narrow_terminal_and_no_chain_are_drawn_too() -> None:
    assert "looking at the chain" in draw(Dashboard())
    board = observe(Dashboard(), VIEW, [TRAIN], lambda *_: record())
    assert all(len(line) <= 40 for line in draw(board, 40).splitlines())


def test_the_screen_asks_the_chain_log_at_the_block_of_the_view() -> None:
    class Log:
        def record(self, job: int, round_: int, at: int) -> RoundRecord:
            assert at == VIEW.block.number
            return record(job, round_, 1, 2)

    screen = LiveScreen(Console(file=io.StringIO()), clock=lambda: NOW)
    log: Any = Log()
    with screen:
        screen.watch(log, VIEW, [TRAIN])
        screen.note_progress(TrainingProgress(1, 2, 0.5))
        screen.watch(log, see(VIEW, 2, 0), [TRAIN])
        console = Console(file=io.StringIO(), width=110)
        console.print(screen.render())
    assert "score 2" in console.file.getvalue()  # type: ignore[attr-defined]
