"""What a coordinator answers when it does not do as asked, in the families of errors.py."""

from __future__ import annotations

import httpx

from commonweal.errors import CommonwealError, Conflict, InvalidInput, NotFound, Unavailable


class CoordinatorError(CommonwealError):
    """What the coordinator answered; `code` is the one it gave."""

    code = "coordinator-error"

    def __init__(self, message: str, *, code: str, **details: object) -> None:
        super().__init__(message, **details)
        self.code = code  # type: ignore[misc]


class _NotThere(CoordinatorError, NotFound):
    pass


class _InConflict(CoordinatorError, Conflict):
    pass


class _NotAccepted(CoordinatorError, InvalidInput):
    pass


class _NotAvailable(CoordinatorError, Unavailable):
    pass


# The same families as at home, so that the same exit statuses follow.
_FAMILIES: dict[int, type[CoordinatorError]] = {
    400: _NotAccepted,
    401: _NotAccepted,
    403: _InConflict,
    404: _NotThere,
    409: _InConflict,
    413: _NotAccepted,
    422: _NotAccepted,
    429: _NotAvailable,
    502: _NotAvailable,
    503: _NotAvailable,
    504: _NotAvailable,
}


class CoordinatorUnreachable(Unavailable):
    code = "coordinator-unreachable"


def build_error(response: httpx.Response) -> CoordinatorError:
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    code = str(problem.get("code", f"http-{response.status_code}"))
    message = str(problem.get("detail") or problem.get("title") or response.reason_phrase)
    family = _FAMILIES.get(response.status_code, CoordinatorError)
    return family(message, code=code, status=response.status_code)
