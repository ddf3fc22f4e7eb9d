"""Our side: a chain, a coordinator and agents as processes of their own; one job, many rounds."""

from __future__ import annotations

import itertools
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.round.phases import PHASES, WAITING, Log, read_logs, split
from bench.round.task import Task
from commonweal.client import Client
from commonweal.devnet.network import AgentPlan, Network
from commonweal.devnet.processes import interruptible
from commonweal.jobfile import JobFile, Terms
from commonweal.protocol.events import ChainEvent, RoundFailed, RoundFinalised, RoundOpened
from commonweal.protocol.types import Role

_STALL_SECONDS = 300.0
_LOOK_SECONDS = 0.5  # seldom: the bench must not disturb what it measures
_BOTH = Role.TRAINER | Role.VALIDATOR


class RoundsMissing(RuntimeError):
    """The job did not get through all of its rounds, or they cannot be timed."""


@dataclass(frozen=True, slots=True)
class RoundTime:
    """One round from the end of the one before to its own end, seconds."""

    round: int
    seconds: float
    phases: dict[str, float]


def run_ours(task: Task, *, warm_up: int, rounds: int, keep: Path | None = None) -> list[RoundTime]:
    """`warm_up` rounds that are not counted, then `rounds` that are. Leaves no process behind."""
    folder = keep or Path(tempfile.mkdtemp(prefix="bench-round-"))
    plans = [AgentPlan(f"node-{number}", _BOTH) for number in range(1, task.trainers + 1)]
    network = Network(folder.resolve(), plans, seed=task.seed)
    try:
        with interruptible(), network:
            events = _play(network, task, warm_up + rounds)
        log = read_logs(path.read_text(errors="replace") for path in folder.glob("*/log"))
        return time_rounds(events, log, warm_up=warm_up)
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def time_rounds(events: Sequence[ChainEvent], log: Log, *, warm_up: int = 0) -> list[RoundTime]:
    """The rounds after `warm_up`, without those whose start or end no program wrote down.

    Raises RoundsMissing where a round failed, or none of them can be timed.
    """
    if failed := [event for event in events if isinstance(event, RoundFailed)]:
        raise RoundsMissing(f"rounds failed: {failed}")
    opened = next(event for event in events if isinstance(event, RoundOpened))
    ends = [event for event in events if isinstance(event, RoundFinalised)]
    blocks = [opened.ref.block_number, *(event.ref.block_number for event in ends)]
    times = [
        RoundTime(event.round, log.mined[end] - log.mined[start], _split(log, start, end))
        for event, (start, end) in zip(ends, itertools.pairwise(blocks), strict=True)
        if event.round > warm_up and start in log.mined and end in log.mined
    ]
    if not times:
        missing = [block for block in blocks if block not in log.mined]
        raise RoundsMissing(f"the coordinator's log has no blocks {missing}")
    return times


def _split(log: Log, start: int, end: int) -> dict[str, float]:
    return split(log.spans, log.mined[start], log.mined[end])


def summarise(times: Sequence[RoundTime]) -> tuple[float, dict[str, float]]:
    """Median seconds of a round, and the mean split scaled to it."""
    median = statistics.median(each.seconds for each in times)
    total = sum(each.seconds for each in times)
    shares = {p: sum(t.phases[p] for t in times) / total for p in (*PHASES, WAITING)}
    return median, {phase: share * median for phase, share in shares.items()}


def _play(network: Network, task: Task, rounds: int) -> list[ChainEvent]:
    network.start_chain()
    network.start_programs()
    network.wait_until_ready()
    first = network.reader.fetch_head().number
    with Client(network.coordinator_url) as client:
        job = client.submit(
            JobFile(task.spec, _make_terms(network, task, rounds)),
            reader=network.reader,
            account=network.key("requester").account,
            scratch=network.data_dir / "requester",
        )
    return _follow(network, job, first)


def _make_terms(network: Network, task: Task, rounds: int) -> Terms:
    seconds = 120 + task.parameters // 20_000
    return Terms(
        rounds=rounds,
        price_per_round=100,
        coordinator=network.key("coordinator").address,
        min_trainers=task.trainers,
        max_trainers=task.trainers,
        committee_size=task.committee,
        min_stake=100,
        commit_window=seconds,
        reveal_window=seconds,
        ballot_commit_window=seconds,
        ballot_reveal_window=seconds,
        attest_window=seconds,
        recruit_for=600,
    )


def _follow(network: Network, job: int, first: int) -> list[ChainEvent]:
    reader, moved, finished = network.reader, time.monotonic(), -1
    while True:
        network.require_alive()
        head = reader.fetch_head().number
        state = reader.fetch_job(job, head)
        if state.state.is_over:
            return reader.fetch_events(first, head, job)
        if state.finalised_rounds != finished:
            finished, moved = state.finalised_rounds, time.monotonic()
        elif time.monotonic() - moved > _STALL_SECONDS:
            raise RoundsMissing(f"nothing moved for {_STALL_SECONDS:g} s after round {finished}")
        time.sleep(_LOOK_SECONDS)
