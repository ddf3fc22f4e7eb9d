"""The error tree. Every error a user can meet has a stable code and carries its numbers.

    CommonwealError
    ├── InvalidInput        what a stranger or a user sent cannot be accepted
    ├── NotFound            a job, round, block … that does not exist here
    ├── Unavailable         an outside thing (chain, peer, disk) did not answer; may be retried
    └── Conflict            correct in itself, but not in the present state

Only `service/api/errors.py` knows HTTP; only the command lines know exit statuses.
"""

from __future__ import annotations

from typing import ClassVar


class CommonwealError(Exception):
    """`code` is stable and lower-kebab-case; `details` are JSON values: the message's numbers."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class InvalidInput(CommonwealError):
    code = "invalid-input"


class NotFound(CommonwealError):
    code = "not-found"


class Unavailable(CommonwealError):
    code = "unavailable"


class Conflict(CommonwealError):
    code = "conflict"
