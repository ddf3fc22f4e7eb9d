"""The loop: observe, decide, act. It ends when it is told to, never because something failed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import structlog
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_when_event_set,
    wait_exponential,
)
from tenacity.nap import sleep_using_event

from commonweal.adapters.heads import LogChoice, Lookout
from commonweal.errors import CommonwealError
from node_agent.decisions import (
    Action,
    ComputeAndAttestModel,
    Policy,
    ScoreAndCommitBallot,
    TrainAndCommit,
    Wait,
    decide,
    is_joinable,
)
from node_agent.duties import Duties
from node_agent.errors import JobNotServed
from node_agent.juror import Juror
from node_agent.keeper import Keeper
from node_agent.notices import awaits_phases, is_phase_start
from node_agent.view import NodeView, ViewReader

log = structlog.get_logger(__name__)
Watcher = Callable[[NodeView, Sequence[Action]], None]  # told what was seen and decided
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_HEAVY = (TrainAndCommit, ScoreAndCommitBallot, ComputeAndAttestModel)


class Backoff:
    """A pause per job that doubles with each failure in a row."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[int, int] = {}
        self._until: dict[int, float] = {}

    def is_paused(self, job: int) -> bool:
        return self._clock() < self._until.get(job, 0.0)

    def fail(self, job: int) -> float:
        """Returns the pause in seconds."""
        failures = self._failures[job] = self._failures.get(job, 0) + 1
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (failures - 1))
        self._until[job] = self._clock() + pause
        return pause

    def succeed(self, job: int) -> None:
        self._failures.pop(job, None)
        self._until.pop(job, None)


class Agent:
    def __init__(
        self,
        views: ViewReader,
        duties: Duties,
        keeper: Keeper,
        juror: Juror,
        policy: Policy,
        *,
        poll_interval: float,
        choice: LogChoice,
        heads_url: str | None = None,
        wall_clock: Callable[[], float] = time.time,
        watcher: Watcher | None = None,
    ) -> None:
        self._watcher = watcher
        self._views = views
        self._duties = duties
        self._keeper = keeper
        self._juror = juror
        self._policy = policy
        self._poll_interval = poll_interval
        self._heads_url = heads_url
        self._choice = choice
        self._awaits_phases = True
        self._wall_clock = wall_clock
        self._backoff = Backoff()
        self._not_joined: dict[int, str] = {}  # job: the reason last logged

    def run(self, stop: threading.Event) -> None:
        told = (self._heads_url, self._choice, self._heeds)
        with Lookout(self._poll_interval, *told) as lookout:
            while not stop.is_set():
                self._observe_patiently(stop)
                lookout.wait(stop)

    def _heeds(self, topic: bytes) -> bool:
        return self._awaits_phases or not is_phase_start(topic)

    def step(self) -> None:
        """Observe once, act on it. Raises only what observing raises."""
        self._awaits_phases = True  # until it is known what the chain shows
        view = self._views.fetch(self._policy.admits)
        self._awaits_phases = awaits_phases(view.jobs)
        now = self._now(view)
        rounds = [(job.round.job, job.round.round) for job in view.jobs]
        entries = self._duties.journal.entries(rounds)
        actions = decide(view, entries, now, self._policy)
        if self._watcher is not None:
            self._guard(None, partial(self._watcher, view, actions))
        for action in actions:
            if isinstance(action, Wait):
                self._note(action, view)
                continue
            if self._backoff.is_paused(action.job):
                continue
            self._guard(action, partial(self._duties.perform, action, view, now))
            if isinstance(action, _HEAVY):
                break  # The view is old by now.
        self._guard(None, partial(self._keeper.keep, view, now))
        self._guard(None, partial(self._juror.sit, view, now))

    def _note(self, wait: Wait, view: NodeView) -> None:
        """Why a job is not joined, once per reason: its operator will look for it."""
        outside = {job.job.job for job in view.jobs if job.member is None and is_joinable(job)}
        if wait.job in outside and self._not_joined.get(wait.job) != wait.reason:
            self._not_joined[wait.job] = wait.reason
            log.info("job not joined", job=wait.job, reason=wait.reason)

    def _observe_patiently(self, stop: threading.Event) -> None:
        retrying = Retrying(
            retry=retry_if_exception_type(Exception),
            wait=wait_exponential(multiplier=_FIRST_PAUSE, max=_LONGEST_PAUSE),
            stop=stop_when_event_set(stop),
            sleep=sleep_using_event(stop),
            before_sleep=_log_retry,
            retry_error_callback=lambda _state: None,
        )
        retrying(self.step)

    def _now(self, view: NodeView) -> int:
        """Chain time: a block's stamp may run ahead of the clock, an idle chain's lags behind."""
        return max(view.block.timestamp, int(self._wall_clock()))

    def _guard(self, action: Action | None, perform: Callable[[], None]) -> None:
        """Run one thing; whatever goes wrong with it must not stop the others."""
        job = 0 if action is None else action.job
        try:
            perform()
        except JobNotServed as error:
            self._policy = replace(self._policy, refused=self._policy.refused | {job})
            self._backoff.fail(job)
            log.warning("job not served", job=job, code=error.code, reason=error.message)
        except CommonwealError as error:
            self._report(action, job, error.code, error.message)
        except Exception as error:
            log.exception("unexpected failure", job=job)
            self._report(action, job, "unexpected", str(error))
        else:
            self._backoff.succeed(job)

    def _report(self, action: Action | None, job: int, code: str, reason: str) -> None:
        name = "keep" if action is None else type(action).__name__
        pause = self._backoff.fail(job)
        log.warning("action failed", action=name, job=job, code=code, reason=reason, pause=pause)


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    fields = {"attempt": state.attempt_number, "reason": str(error)}
    if isinstance(error, CommonwealError):
        log.warning("chain not observed", code=error.code, **fields)
    else:
        log.warning("chain not observed", code="unexpected", exc_info=error, **fields)
