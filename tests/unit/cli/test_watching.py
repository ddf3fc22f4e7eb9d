"""What `weal job watch` draws on a terminal: progress from events, curves from claims."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from commonweal.charts import draw_curve
from commonweal.cli.watching import Curves, LiveWatch, Progress, render
from commonweal.coordinator_errors import CoordinatorUnreachable
from commonweal.protocol.commitments import pack_entries, pack_members, pack_scores, pack_seats
from commonweal.protocol.types import SCORE_INVALID, Verdict

TOKEN = 10**18
TERMS = {
    "rounds": 4, "price_per_round": "1", "min_trainers": 2, "max_trainers": 3, "recruit_until": 0,
}  # fmt: skip
EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("JobCreated", {"parameters": TERMS, "escrow": "9", "quantum": "1"}),
    ("JobStateChanged", {"state": "running"}),
    ("RoundOpened", {"round": 1, "ends_at": 60}),
    ("UpdatesCommitted", {"round": 1, "entries": pack_entries([(0, bytes(32)), (2, bytes(32))])}),
    ("UpdatesRevealed", {"round": 1, "members": pack_members((0, 2)), "opened": 3}),
    ("CommitteeDrawn", {"round": 1, "members": [0, 1, 2]}),
    ("BallotsRevealed", {"round": 1, "seats": pack_seats((0, 2))}),
    ("RoundTallied", {"round": 1, "scores": pack_scores((4000, SCORE_INVALID))}),
    ("RoundFinalised", {"round": 1, "model_digest": bytes(32)}),
    ("RoundSettled", {"round": 1, "payments": b"", "fee": "0", "spent": str(3 * TOKEN)}),
]


def make_event(name: str, data: dict[str, Any]) -> dict[str, Any]:
    shown = {key: "0x" + v.hex() if isinstance(v, bytes) else v for key, v in data.items()}
    return {"event": name, "data": {"timestamp": 0, "job": 1} | shown}


class Claims:
    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> Curves:
        self.asked += 1
        return {"accuracy": {1: 0.5}, "loss": {1: 1.25}}


def follow(count: int, fetch: Any = None, width: int = 120) -> tuple[LiveWatch, str]:
    """A watch that was given the first `count` events, and all that it wrote."""
    console = Console(file=io.StringIO(), width=width)
    watch = LiveWatch(1, console, fetch or Claims(), clock=lambda: 0.0)
    with watch:
        for name, data in EVENTS[:count]:
            watch.take(make_event(name, data))
    return watch, console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (1, "job 1: recruiting"),
        (3, "round 1: commitments"),
        (4, "round 1: 2 commitments"),
        (5, "round 1: 2 updates revealed"),
        (6, "round 1: committee of 3 judges"),
        (7, "round 1: 2 of 3 ballots opened"),
        (8, "verdicts of round 1: 1 verified, 1 invalid"),
        (9, "1 of 4 rounds final  █░░░"),
        (10, "paid out so far: 3.00 tokens"),
    ],
)
def test_the_view_follows_the_round(count: int, shown: str) -> None:
    assert shown in follow(count)[1]


def test_events_are_told_in_words_above_the_view() -> None:
    assert "round 1: verdicts: member 0 verified 4000, member 2 invalid" in follow(8)[1]


def test_claims_are_asked_for_at_most_once_a_second_and_at_the_end() -> None:
    claims = Claims()
    watch, _ = follow(10, claims)
    assert claims.asked == 1  # by the first change of state; the clock stands still
    watch.take(make_event("JobStateChanged", {"state": "completed"}), is_last=True)
    assert claims.asked == 2


def test_a_job_is_followed_without_claims() -> None:
    def fail() -> Curves:
        raise CoordinatorUnreachable("gone")

    written = follow(10, fail)[1]
    assert "paid out so far: 3.00" in written
    assert "nobody checks" not in written


def test_an_event_that_cannot_be_read_stops_nothing() -> None:
    watch, _ = follow(7)
    watch.take(make_event("RoundTallied", {"round": 1, "scores": "0xzz"}))
    watch.take(make_event("RoundSettled", {"round": 1}))


def draw(curves: Curves, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    progress = Progress(1, rounds=3, verdicts={1: {Verdict.VERIFIED: 2}})
    console.print(render(progress, curves, width=width))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined, no-any-return]


def test_two_charts_stand_beside_each_other_where_there_is_room() -> None:
    curves = {"loss": {1: 2.0, 2: 1.0}, "accuracy": {1: 0.1, 2: 0.9}}
    wide, narrow = draw(curves, 120), draw(curves, 60)
    (heading,) = [line for line in wide if "median" in line]
    assert heading.index("accuracy") < heading.index("loss")
    assert len([line for line in narrow if "median" in line]) == 2
    assert all(len(line) <= 60 for line in narrow)


def test_a_curve_rises_as_its_points_do() -> None:
    lines = draw_curve({1: 0.0, 2: 0.5, 3: 1.0}, width=40, height=9, top=1.0).splitlines()
    area = [line.partition("┤")[2] or line.partition("│")[2] for line in lines[1:-2]]
    ends = [(row, text) for row, text in enumerate(area) if any("⠀" < c <= "⣿" for c in text)]
    (top, first), (bottom, last) = ends[0], ends[-1]
    assert (top, bottom) == (0, len(area) - 1)

    def marked(text: str) -> list[int]:
        return [at for at, c in enumerate(text) if "⠀" < c <= "⣿"]

    assert min(marked(first)) > max(marked(last))
    assert lines[-1].split() == ["1", "2", "3"]
