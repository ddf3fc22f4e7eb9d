"""Charts made of characters, for terminals. Text in, text out: whoever shows them clears them."""

from __future__ import annotations

from collections.abc import Mapping

_LEAST_WIDTH = 20


def draw_curve(points: Mapping[int, float], *, width: int, height: int, top: float) -> str:
    """A line through (round, value), ordinates from zero to `top`; the size is in characters."""
    # Here, for most commands need not wait 0.2 s for it.
    import plotext  # type: ignore[import-untyped]

    rounds = sorted(points)
    figure = plotext.figure  # the library has one for all; it starts empty each time
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(max(width, _LEAST_WIDTH), height)
    line = figure.signal(rounds, [points[round_] for round_ in rounds], marker="braille")
    line.lines()
    figure.draw(line)
    figure.ruler("y").lim(0, top)
    marks = sorted({rounds[0], rounds[len(rounds) // 2], rounds[-1]})
    figure.ruler("x").ticks(marks, [str(round_) for round_ in marks])
    return str(plotext.uncolorize(str(figure.build()))).rstrip("\n")
