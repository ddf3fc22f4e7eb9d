"""`weal job watch` on a terminal: the narrated events, and below them the job's curves, renewed.

The chain's facts come with the events. Loss and accuracy are what trainers claim of themselves,
as the coordinator sums them up, and are named so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from commonweal.charts import draw_curve
from commonweal.cli.narration import FAILURES, UNREADABLE, Narrator
from commonweal.cli.output import format_tokens
from commonweal.errors import CommonwealError
from commonweal.liveview import LiveView
from commonweal.protocol.commitments import unpack_scores
from commonweal.protocol.types import Verdict

_HEIGHT = 9  # of a chart, lines
_MOST_BLOCKS = 40  # rounds, up to which each has a block in the bar
_FRAME = 4  # columns of the panel's border and margin
_BESIDE = 100  # columns, from which two charts stand beside each other
_LEAST_PAUSE = 1.0  # seconds between two questions for claims
_RENEWED_BY = ("RoundTallied", "RoundFinalised", "JobStateChanged")
Curves = dict[str, dict[int, float]]  # by metric: medians by round
FetchCurves = Callable[[], Curves]


@dataclass(slots=True)
class Progress:
    """A job as its events tell it, in the words of the narrator that reads them too."""

    job: int
    rounds: int = 0
    state: str = "recruiting"
    round: int = 0
    phase: str = ""
    finalised: int = 0
    spent: int = 0  # wei
    verdicts: dict[int, dict[Verdict, int]] = field(default_factory=dict)  # counts by round

    def take(self, event: Mapping[str, Any], narrator: Narrator) -> None:
        """After `narrator` has read the event."""
        data, name = event["data"], event["event"]
        match name:
            case "JobCreated":
                self.rounds = int(data["parameters"]["rounds"])
            case "JobStateChanged":
                self.state = data["state"]
            case "RoundOpened":
                self.round, self.phase = int(data["round"]), "commitments"
            case "UpdatesCommitted":
                self.phase = f"{len(narrator.committed)} commitments"
            case "UpdatesRevealed":
                self.phase = f"{len(narrator.revealed)} updates revealed"
            case "CommitteeDrawn":
                self.phase = f"committee of {narrator.seats} judges"
            case "BallotsRevealed":
                self.phase = f"{len(narrator.opened)} of {narrator.seats} ballots opened"
            case "RoundTallied":
                self.phase = "tallied"
                self.verdicts[int(data["round"])] = _count(data["scores"])
            case "RoundFinalised":
                self.phase, self.finalised = "final", self.finalised + 1
            case "RoundFailed":
                self.phase = f"failed: {FAILURES.get(data['reason'], data['reason'])}"
            case "RoundSettled":
                self.spent += int(data["spent"])


def _count(scores: str) -> dict[Verdict, int]:
    found = [Verdict.of(score) for score in unpack_scores(bytes.fromhex(scores.removeprefix("0x")))]
    return {verdict: found.count(verdict) for verdict in Verdict if verdict in found}


class LiveWatch(LiveView):
    """Drawn while it is entered; `take` is given every event of the job, from the first on."""

    def __init__(
        self,
        job: int,
        console: Console,
        fetch_curves: FetchCurves,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console, self._clock, self._fetch_curves = console, clock, fetch_curves
        self._narrator, self._progress = Narrator(), Progress(job)
        self._curves: Curves = {}
        self._fetched_at = float("-inf")
        super().__init__(console)

    def take(self, event: Mapping[str, Any], *, is_last: bool = False) -> None:
        line = self._narrator.describe(event)
        if line is not None:
            self._console.print(Text(line), soft_wrap=True)
        with suppress(*UNREADABLE):  # the narrator has said so
            self._progress.take(event, self._narrator)
        is_due = self._clock() - self._fetched_at >= _LEAST_PAUSE
        if is_last or (is_due and event["event"] in _RENEWED_BY):
            with suppress(CommonwealError):  # a job is followed without curves too
                self._curves = self._fetch_curves()
            self._fetched_at = self._clock()

    def render(self) -> RenderableType:
        return render(self._progress, self._curves, width=self._console.width)


def render(progress: Progress, curves: Curves, *, width: int) -> RenderableType:
    """`width` in characters."""
    title = f"job {progress.job}: {progress.state}"
    parts: list[RenderableType] = [_describe(progress)]
    if curves:
        parts.append(Text("as trainers claim of their own data; nobody checks it", "dim"))
        parts.append(_charts(curves, width - _FRAME))
    return Panel(Group(*parts), title=title, title_align="left")


def _describe(progress: Progress) -> Text:
    bar = "█" * progress.finalised + "░" * max(0, progress.rounds - progress.finalised)
    text = Text(f"{progress.finalised} of {progress.rounds} rounds final")
    if progress.rounds <= _MOST_BLOCKS:
        text.append(f"  {bar}")
    if progress.round and progress.state in ("running", "cancelling"):
        text.append(f"\nround {progress.round}: {progress.phase}")
    if progress.verdicts:
        latest = max(progress.verdicts)
        counts = progress.verdicts[latest].items()
        said = ", ".join(f"{count} {verdict.name.lower()}" for verdict, count in counts)
        text.append(f"\nverdicts of round {latest}: {said}")
    return text.append(f"\npaid out so far: {format_tokens(progress.spent)} tokens")


def _charts(curves: Curves, width: int) -> RenderableType:
    """Accuracy first, then the others by name; beside each other where there is room."""
    beside = len(curves) > 1 and width >= _BESIDE
    each = (width - 2) // 2 if beside else width
    charts = [
        Text(f"{name}, median\n{_draw(name, curves[name], each)}", no_wrap=True)
        for name in sorted(curves)
    ]
    return Columns(charts, padding=(0, 1)) if beside else Group(*charts)


def _draw(name: str, points: Mapping[int, float], width: int) -> str:
    top = 1.0 if name == "accuracy" else max(points.values()) or 1.0
    return draw_curve(points, width=width, height=_HEIGHT, top=top)
