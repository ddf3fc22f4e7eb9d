"""The only place that knows HTTP's problems: errors as application/problem+json (RFC 9457)."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from starlette.exceptions import HTTPException

from commonweal.adapters.chain import ContractReverted
from commonweal.adapters.content.store import ContentTooLarge, StoreFull
from commonweal.errors import CommonwealError, Conflict, InvalidInput, NotFound, Unavailable
from service.admission import AccountUnknown
from service.sessions import Unauthorised
from service.uploads import QuotaSpent

log = structlog.get_logger(__name__)
MEDIA_TYPE = "application/problem+json"
_STATUS: tuple[tuple[type[CommonwealError], int], ...] = (
    (Unauthorised, 401),
    (AccountUnknown, 403),
    (QuotaSpent, 429),
    (ContentTooLarge, 413),
    (StoreFull, 507),
    (ContractReverted, 409),
    (InvalidInput, 400),
    (NotFound, 404),
    (Conflict, 409),
    (Unavailable, 503),
    (CommonwealError, 500),
)
_HTTP_CODES = {400: "bad-request", 404: "not-found", 405: "method-not-allowed"}
_MEANINGS = {
    400: "Wrong in itself: `signature-wrong`, `opening-wrong`, `ballot-length-wrong`, `invalid-…`.",
    401: "Who you are is missing or not proven: `sign-in-required`, `session-unknown`, "
    "`session-expired`, `api-key-unknown`; signing in, `wrong-host`, `challenge-unknown`, "
    "`challenge-expired`, `signature-invalid`, `nonce-used`.",
    403: "`account-unknown`: the chain knows no provider, job or tokens of this account.",
    404: "`job-unknown`, `round-unknown`, `member-unknown`, `seat-unknown`, `provider-unknown`, "
    "`message-unknown`, `offer-unknown`.",
    409: "Right in itself, not now: `phase-closed`, `round-wrong`, `job-over`, `already-on-chain`, "
    "`slot-taken`, `signature-expired`, `roles-not-held`, `stake-too-low`, `contract-reverted`; or "
    "not at this coordinator's cost: `coordinator-share-too-low`, `too-many-memberships`, "
    "`too-many-offers`.",
    413: "`body-too-large`: the body is above its limit.",
    422: "`invalid-request`: the shape is wrong; `errors` names each field.",
    429: "`too-many-requests`, `upload-quota-spent`: `Retry-After` says when.",
    503: "`catching-up`, `not-ready`, `chain-unavailable`, `database-unavailable`, "
    "`too-many-followers`: try again later.",
    507: "`store-full`: the coordinator has no room for the content.",
}


class Problem(BaseModel):
    """A problem. More members carry the numbers behind it."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Conflict",
                    "status": 409,
                    "detail": "round 3 is in phase reveal",
                    "code": "phase-closed",
                    "phase": "reveal",
                    "needed": "commit",
                }
            ]
        },
    )

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: Annotated[str, Field(description="stable, lower-kebab-case")]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: what it may answer instead."""
    return {
        status: {
            "model": Problem,
            "description": _MEANINGS[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


class _ProblemResponse(JSONResponse):
    media_type = MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        """In ASCII: what strangers sent and is quoted may be no Unicode that can be encoded."""
        return json.dumps(content, separators=(",", ":")).encode()


def answer_problem(status: int, code: str, detail: str, **details: object) -> JSONResponse:
    body = {
        **jsonable_encoder(details),
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    return _ProblemResponse(body, status)


def answer_error(error: CommonwealError) -> JSONResponse:
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    response = answer_problem(status, error.code, error.message, **error.details)
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["www-authenticate"] = "Bearer"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        response.headers["retry-after"] = str(error.details["seconds"])
    return response


def install(app: FastAPI) -> None:
    app.add_exception_handler(CommonwealError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    for kind in (OperationalError, InterfaceError, PoolExhausted):
        app.add_exception_handler(kind, _on_database_away)
    app.add_exception_handler(Exception, _on_bug)


def _on_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, CommonwealError)
    return answer_error(error)


def _on_invalid_request(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [
        {"field": ".".join(str(part) for part in each["loc"]), "message": each["msg"]}
        for each in error.errors()[:20]
    ]
    detail = "; ".join(f"{each['field']}: {each['message']}" for each in errors[:3])
    return answer_problem(422, "invalid-request", detail, errors=errors)


def _on_http_exception(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = _HTTP_CODES.get(error.status_code, f"http-{error.status_code}")
    response = answer_problem(error.status_code, code, str(error.detail))
    response.headers.update(error.headers or {})
    return response


def _on_database_away(request: Request, error: Exception) -> JSONResponse:
    log.warning("database away", path=request.url.path, reason=str(error).splitlines()[0])
    return answer_problem(503, "database-unavailable", "the database does not answer")


def _on_bug(request: Request, error: Exception) -> JSONResponse:
    log.error("request failed", path=request.url.path, exc_info=error)
    return answer_problem(500, "internal-error", "the coordinator failed; its log says why")
