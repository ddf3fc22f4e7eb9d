"""What a route that writes asks for: a session or an API key, and room in the upload quota."""

from __future__ import annotations

from typing import cast

import anyio
from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.requests import ClientDisconnect

from commonweal.adapters.content.store import MAX_BLOCK_BYTES
from service.api.rates import Caller
from service.sessions import SignInRequired
from service.uploads import UploadQuota

_DRAIN_SECONDS = 5.0
_bearer = HTTPBearer(
    scheme_name="session", auto_error=False, description="a token of `POST /v1/sessions`"
)
_api_key = APIKeyHeader(name="X-API-Key", scheme_name="apiKey", auto_error=False)


def _caller(request: Request) -> Caller:
    return cast(Caller, request.state.caller)


async def _require_identity(request: Request) -> None:
    """Raises SignInRequired."""
    if not _caller(request).is_known:
        await _drain(request, MAX_BLOCK_BYTES)
        raise SignInRequired("sign in first (POST /v1/sessions), or send an API key")


async def _spend_quota(request: Request) -> None:
    """Raises QuotaSpent. A body of unknown length counts as the longest.

    A length beside `Transfer-Encoding` says nothing: the chunks win, whatever it declares.
    """
    is_chunked = "transfer-encoding" in request.headers
    declared = "" if is_chunked else request.headers.get("content-length", "")
    size = min(int(declared), MAX_BLOCK_BYTES) if declared.isdigit() else MAX_BLOCK_BYTES
    quota = cast(UploadQuota, request.app.state.quota)
    quota.spend(_caller(request).identity, size)


async def _drain(request: Request, most: int) -> None:
    """Who is still writing would not see the refusal."""
    left = most
    with anyio.move_on_after(_DRAIN_SECONDS):
        try:
            async for chunk in request.stream():
                left -= len(chunk)
                if left < 0:
                    return
        except ClientDisconnect:
            return


SIGNED_IN = [Security(_bearer), Security(_api_key), Depends(_require_identity)]
UPLOADING = [Depends(_spend_quota)]
