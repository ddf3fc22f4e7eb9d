"""Bounds on what is read from strangers, and headers that bound what browsers do with answers."""

from __future__ import annotations

import json
import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.errors import answer_problem

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
    ),
)
# A parser that recurses in C does not survive a body of nothing but brackets.
MAX_DEPTH = 32
_DRAINED = 8  # times the limit
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


class BodyLimit:
    """413 before a body above `limit` bytes is read, 400 for JSON that nests too deep.

    Uploads of blocks bound themselves.
    """

    def __init__(self, app: ASGIApp, *, limit: int, exempt: str) -> None:
        self._app = app
        self._limit = limit
        self._exempt = exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(self._exempt):
            await self._app(scope, receive, send)
            return
        body = await self._read(scope, receive)
        if body is None:
            await self._refuse(scope, receive, send)
            return
        if is_too_deep(body):
            detail = f"JSON nests at most {MAX_DEPTH} deep here"
            response = answer_problem(400, "json-too-deep", detail, limit=MAX_DEPTH)
            await response(scope, receive, send)
            return
        await self._app(scope, _Replay(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """None if there is more than the limit. The routes take whole bodies anyway.

        A little more is read and thrown away: who is still writing would not see the refusal.
        """
        kept: list[bytes] = []
        total, refused = 0, _declared_length(scope) > self._limit
        while True:
            message = await receive()
            chunk = bytes(message.get("body", b""))
            total += len(chunk)
            refused = refused or total > self._limit
            if refused:
                kept.clear()
            else:
                kept.append(chunk)
            if not message.get("more_body", False) or total > _DRAINED * self._limit:
                return None if refused else b"".join(kept)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        detail = f"a body has at most {self._limit} bytes here"
        response = answer_problem(413, "body-too-large", detail, limit=self._limit)
        response.headers["connection"] = "close"
        await response(scope, receive, send)


def is_too_deep(body: bytes) -> bool:
    """In time linear in the body; read in the encoding that the parser will guess."""
    try:
        text = body.decode(json.detect_encoding(body), "surrogatepass")
    except UnicodeDecodeError:
        return False  # no parser gets as far as its brackets
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub("", text)):
        depth += 1 if bracket.group() in "[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


class _Replay:
    """Gives the body that was read, then whatever comes (the client's going away)."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


class SecurityHeaders:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                extra = [(name, value) for name, value in _HEADERS if name not in present]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
