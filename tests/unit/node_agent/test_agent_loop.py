"""The loop survives whatever fails; keepers take turns; sources are strangers' words."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from agent_samples import MEMBERS, NOW, POLICY, make_round, make_view
from structlog.testing import capture_logs

from commonweal.adapters.content.store import StoreFull
from commonweal.adapters.heads import LogChoice
from commonweal.errors import Unavailable
from commonweal.protocol.types import Phase, Wei
from node_agent.agent import Agent, Backoff
from node_agent.decisions import TOO_MUCH_STAKE
from node_agent.errors import JobNotServed
from node_agent.keeper import compute_place


@dataclass
class Views:
    view: Any
    failures: list[Exception] = field(default_factory=list)
    fetched: int = 0

    def fetch(self, would_join: Any) -> Any:
        self.fetched += 1
        if self.failures:
            raise self.failures.pop(0)
        return self.view


class EmptyJournal:
    def entries(self, _: Any) -> dict[Any, Any]:
        return {}


@dataclass
class Work:
    """Stands for the duties: raises what it is told to."""

    failures: list[Exception] = field(default_factory=list)
    performed: list[Any] = field(default_factory=list)
    journal: EmptyJournal = field(default_factory=EmptyJournal)

    def perform(self, action: Any, view: Any, now: int) -> None:
        self.performed.append(action)
        if self.failures:
            raise self.failures.pop(0)


@dataclass
class Keeping:
    kept: int = 0
    failure: Exception | None = None

    def keep(self, view: Any, now: int) -> None:
        self.kept += 1
        if self.failure:
            raise self.failure


class NoAppeals:
    def sit(self, view: Any, now: int) -> None:
        pass


def make_agent(views: Views, work: Work, keeping: Keeping) -> Agent:
    return Agent(
        views,
        work,
        keeping,
        NoAppeals(),
        POLICY,
        poll_interval=0.001,
        choice=LogChoice([], []),
        wall_clock=lambda: float(NOW),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "failure", [StoreFull("no room"), Unavailable("down"), ValueError("a bug"), OSError("disk")]
)
def test_a_failing_duty_is_tried_again_later(failure: Exception) -> None:
    views, work, keeping = Views(make_view(make_round(Phase.COMMIT))), Work([failure]), Keeping()
    agent = make_agent(views, work, keeping)
    agent.step()
    agent.step()
    assert (len(work.performed), keeping.kept) == (1, 2)  # paused, and the keeper still works
    agent._backoff.succeed(1)
    agent.step()
    assert len(work.performed) == 2


def test_says_once_why_a_job_is_not_joined() -> None:
    view = make_view(make_round(Phase.NONE), joined=False, free=Wei(99))
    agent = make_agent(Views(view), Work(), Keeping())
    with capture_logs() as logs:
        agent.step()
        agent.step()
    (line,) = [each for each in logs if each["event"] == "job not joined"]
    assert line["reason"] == TOO_MUCH_STAKE


def test_a_job_it_cannot_serve_is_not_joined_again() -> None:
    view = make_view(make_round(Phase.NONE), joined=False)
    work = Work([JobNotServed("another shape")])
    agent = make_agent(Views(view), work, Keeping())
    for _ in range(3):
        agent.step()
    assert len(work.performed) == 1


def test_a_failing_keeper_does_not_end_the_loop() -> None:
    agent = make_agent(Views(make_view(make_round(Phase.NONE))), Work(), Keeping(failure=OSError()))
    agent.step()
    agent.step()


def test_waits_for_a_chain_that_is_away_and_stops_when_told() -> None:
    stop = threading.Event()
    failures = [Unavailable("rpc down"), IndexError("a bug")]
    views = Views(make_view(make_round(Phase.COMMIT)), failures)

    class Once(Work):
        def perform(self, action: Any, view: Any, now: int) -> None:
            stop.set()

    thread = threading.Thread(target=make_agent(views, Once(), Keeping()).run, args=(stop,))
    thread.start()
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert views.fetched == 3


def test_pauses_double_up_to_a_limit() -> None:
    backoff = Backoff(clock=lambda: 0.0)
    assert [backoff.fail(1) for _ in range(7)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert backoff.is_paused(1)
    assert not backoff.is_paused(2)
    backoff.succeed(1)
    assert not backoff.is_paused(1)


def test_every_member_is_first_keeper_in_turn() -> None:
    job = make_view(make_round(Phase.COMMIT)).jobs[0]
    firsts = []
    for number in range(1, 5):
        round_ = replace(job.round, round=number)
        places = [compute_place(replace(job, member=m, round=round_)) for m in MEMBERS]
        assert sorted(places) == [0, 1, 2, 3]
        firsts.append(places.index(0))
    assert sorted(firsts) == [0, 1, 2, 3]
