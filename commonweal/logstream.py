"""Where programs log to: a stream whose disk may be full for a while. Work goes on without its log.

Lines that find no room are lost, except what the stream itself still holds.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TextIO


class PatientStream:
    """As much of a text stream as a logger needs; it never raises OSError."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()
