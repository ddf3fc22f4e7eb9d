"""The live view of `weal-node run`: drawn below the log lines of a terminal, and renewed in place.

What it shows is `dashboard`'s; where there is no terminal, nothing is drawn and lines are logged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from commonweal.learning.training import TrainingProgress
from commonweal.liveview import LiveView
from commonweal.protocol.types import Phase, Wei
from node_agent.chainlog import ChainLog
from node_agent.dashboard import Dashboard, JobRow, RoundResult, note_progress, observe
from node_agent.decisions import Action
from node_agent.view import NodeView

_TOKEN = 10**18  # wei
_BAR = 24
_MOST_JOBS = 8
_COLOURS = {"verified": "green", "rejected": "yellow", "invalid": "red", "round failed": "red"}


class LiveScreen(LiveView):
    """Drawn while it is entered; fed by the agent's loop and the trainer, both in one thread."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._dashboard = Dashboard()
        super().__init__(console)

    def watch(self, chain_log: ChainLog, view: NodeView, actions: Sequence[Action]) -> None:
        at = view.block.number
        self._dashboard = observe(
            self._dashboard, view, actions, lambda job, round_: chain_log.record(job, round_, at)
        )

    def note_progress(self, progress: TrainingProgress) -> None:
        self._dashboard = note_progress(self._dashboard, progress)

    def render(self) -> RenderableType:
        return render(self._dashboard, now=self._clock())


def render(board: Dashboard, *, now: float) -> RenderableType:
    """`now`: seconds since 1970, to count down phases by."""
    parts: list[RenderableType] = [_head(board)]
    if board.jobs:
        parts.append(_jobs(board, now))
    if board.progress is not None:
        parts.append(_training(board.progress))
    return Panel(Group(*parts), title="weal-node", title_align="left")


def _head(board: Dashboard) -> Text:
    account = board.account
    if account is None:
        return Text("looking at the chain …")
    text = Text(f"{account.provider}  block {board.block}")
    if account.jailed_until:
        text.append("  JAILED: see weal-node unjail", "bold red")
    text.append(f"\nstake {_tokens(account.free)} free, {_tokens(account.locked)} in jobs; ")
    text.append(f"earned {_tokens(board.earned)} since the start", "bold")
    text.append(f", {_tokens(board.claimable)} to claim")
    if not board.jobs:
        text.append("\nno job yet")
    return text


def _jobs(board: Dashboard, now: float) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=False)
    for column in ("job", "round", "phase", "left", "this node", "last verdicts and pay"):
        table.add_column(column, header_style="dim")
    for row in _choose(board):
        table.add_row(*_cells(row, now))
    return table


def _choose(board: Dashboard) -> list[JobRow]:
    """What fits: the node's own jobs before others', later ones before earlier, by number."""
    rows = sorted(board.jobs.values(), key=lambda row: (row.seen.member is None, -row.seen.job.job))
    return sorted(rows[:_MOST_JOBS], key=lambda row: row.seen.job.job)


def _cells(row: JobRow, now: float) -> list[RenderableType]:
    job, round_ = row.seen.job, row.seen.round
    in_flight = round_.phase is not Phase.NONE and not job.state.is_over
    phase = (round_.phase if in_flight else job.state).name.lower().replace("_", " ")
    left = f"{max(0, round(round_.ends_at - now))} s" if in_flight else ""
    results = Text("\n").join(map(_result, row.results))
    rounds = f"{round_.round} of {job.parameters.rounds}"
    return [str(job.job), rounds, phase, left, row.doing, results]


def _result(result: RoundResult) -> Text:
    colour = _COLOURS.get(result.verdict.partition(",")[0], "default")
    text = Text(f"{result.round}: ").append(result.verdict, colour)
    return text.append(f", {_tokens(result.paid)} tokens") if result.paid else text


def _training(progress: TrainingProgress) -> Table:
    line = Table.grid(padding=(0, 1, 0, 0))
    bar = ProgressBar(total=progress.total, completed=progress.done, width=_BAR)
    share = f"{100 * progress.done // progress.total} %"
    line.add_row("training", bar, share, f"loss {progress.loss:.4f}")
    return line


def _tokens(wei: Wei) -> str:
    return f"{wei / _TOKEN:,.2f}"
