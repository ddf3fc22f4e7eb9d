"""How a node logs: key=value lines on stderr, or for somebody who looks on, shorter ones."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog

from commonweal.logstream import PatientStream
from commonweal.worktime import EVENT as WORKED


def configure_logging(*, for_people: bool = False) -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *(_for_people() if for_people else _for_programs()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: structlog.PrintLogger(cast(TextIO, PatientStream(sys.stderr))),
    )


def _for_programs() -> list[structlog.typing.Processor]:
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
    ]


def _for_people() -> list[structlog.typing.Processor]:
    return [
        _drop_durations,
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
        structlog.dev.ConsoleRenderer(colors="NO_COLOR" not in os.environ, pad_event_to=0),
    ]


def _drop_durations(
    _logger: object, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """They come many times a second, and the view says what the node is at."""
    if event.get("event") == WORKED:
        raise structlog.DropEvent
    return event
