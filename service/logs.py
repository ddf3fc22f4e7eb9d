"""One line per event, as JSON or for people. Fixed sentences and fields; no secrets are passed."""

from __future__ import annotations

import logging
import sys
from typing import Literal, TextIO, cast

import structlog

from commonweal.logstream import PatientStream


def configure_logs(form: Literal["json", "console"]) -> None:
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers: list[structlog.typing.Processor]
    if form == "json":
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        renderers = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, PatientStream(sys.stderr))),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
