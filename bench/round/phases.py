"""From the programs' log lines to a split of each round's time. Pure: text in, seconds out."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from commonweal.worktime import EVENT

# Where several programs work at once an instant counts as the first of these that goes on.
PHASES = ("training", "scoring", "content", "chain")
WAITING = "waiting"
_FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')


@dataclass(frozen=True, slots=True)
class Span:
    """Work from `began` to `ended`, epoch seconds."""

    work: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Log:
    spans: tuple[Span, ...]
    mined: dict[int, float]  # epoch seconds by block: when the first program knew it mined


def read_logs(texts: Iterable[str]) -> Log:
    """Of agents (logfmt) and of a coordinator (JSON); other lines are passed over."""
    spans: list[Span] = []
    mined: dict[int, float] = {}
    for text in texts:
        for line in text.splitlines():
            fields = _parse(line)
            if fields.get("event") == EVENT:
                began = float(fields["began"])
                spans.append(Span(fields["work"], began, began + float(fields["seconds"])))
            elif "block" in fields and fields.get("event") in ("batch mined", "duty done"):
                at, block = _to_epoch(fields["timestamp"]), int(fields["block"])
                mined[block] = min(at, mined.get(block, at))
    return Log(tuple(spans), mined)


def split(spans: Sequence[Span], start: float, end: float) -> dict[str, float]:
    """Seconds per phase from `start` to `end`; they add up to all of it."""
    cuts = {start, end}
    inside = [s for s in spans if s.ended > start and s.began < end]
    cuts |= {min(max(at, start), end) for s in inside for at in (s.began, s.ended)}
    totals = dict.fromkeys((*PHASES, WAITING), 0.0)
    ordered = sorted(cuts)
    for left, right in itertools.pairwise(ordered):
        going = {s.work for s in inside if s.began < right and s.ended > left}
        phase = next((name for name in PHASES if name in going), WAITING)
        totals[phase] += right - left
    return totals


def _parse(line: str) -> dict[str, str]:
    if line.startswith("{"):
        try:
            return {str(k): str(v) for k, v in json.loads(line).items()}
        except ValueError:
            return {}
    return {name: value.strip('"') for name, value in _FIELD.findall(line)}


def _to_epoch(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
