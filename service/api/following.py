"""Event streams that hold a follower's place until the follower is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import structlog
from sse_starlette.sse import EventSourceResponse, SendTimeoutError
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from service.followers import Followers

log = structlog.get_logger(__name__)
_PING_SECONDS = 15
_SEND_SECONDS = 10  # for whoever does not read


class Following(EventSourceResponse):
    """Gives the place back, however the stream ends."""

    def __init__(
        self,
        request: Request,
        followers: Followers,
        stream: AsyncIterator[dict[str, Any]],
        *,
        send_seconds: float = _SEND_SECONDS,
    ) -> None:
        """Raises TooManyFollowers."""
        self._followers = followers
        self._identity: str = request.state.caller.identity
        followers.enter(self._identity)
        super().__init__(stream, ping=_PING_SECONDS, send_timeout=send_seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except* SendTimeoutError:
            log.info("a follower does not read", identity=self._identity)
        finally:
            self._followers.leave(self._identity)
