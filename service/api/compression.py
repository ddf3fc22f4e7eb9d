"""Compresses the API's JSON. Content blocks stay as they are: weights do not shrink, CPUs do."""

from __future__ import annotations

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_LEAST_BYTES = 1024
_LEVEL = 5
_PREFIX, _EXEMPT = "/v1/", "/v1/blocks/"


class CompressJson:
    """Event streams pass: GZipMiddleware leaves them alone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._compressing = GZipMiddleware(app, minimum_size=_LEAST_BYTES, compresslevel=_LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        fits = path.startswith(_PREFIX) and not path.startswith(_EXEMPT)
        app = self._compressing if scope["type"] == "http" and fits else self._app
        await app(scope, receive, send)
