"""How often one identity may ask: a bucket of requests each, which fills again with time.

An identity is an API key if a request carries one, otherwise the address that it comes from: an
IPv4 address, or the /64 of an IPv6 one, which is what one customer gets. What costs the coordinator
more counts as several requests.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from commonweal.errors import InvalidInput
from service.api.errors import answer_problem

_MOST_IDENTITIES = 50_000  # the longest silent are forgotten: their buckets are full by then
_NEVER_LIMITED = frozenset({"/health", "/ready", "/metrics"})
_KEY_HEADER = b"x-api-key"
_LONGEST_KEY = 200

# As many requests for a single row take about the same time.
_COSTS = (
    (re.compile(r"/v1/jobs/[^/]+/claims"), 50),
    (re.compile(r"/v1/jobs/[^/]+/(matrix|history)"), 20),
    (re.compile(r"/v1/overview"), 10),
    (re.compile(r"/v1/providers/[^/]+/(record|earnings)"), 5),
)


class InvalidApiKeys(InvalidInput):
    code = "invalid-api-keys"


class Buckets:
    """Safe to share between threads."""

    def __init__(
        self, rate: float, burst: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`rate`: requests per second and identity in the long run; `burst`: at once."""
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._lock = threading.Lock()
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # requests left, when

    def take(self, identity: str, cost: int = 1) -> float:
        """0 if a request that counts as `cost` may pass, otherwise the seconds until it may."""
        now, cost = self._clock(), min(cost, self._burst)  # whatever is full lets anything pass
        with self._lock:
            left, before = self._levels.pop(identity, (float(self._burst), now))
            left = min(self._burst, left + (now - before) * self._rate)
            is_allowed = left >= cost
            self._levels[identity] = (left - cost if is_allowed else left, now)
            if len(self._levels) > _MOST_IDENTITIES:
                self._levels.popitem(last=False)
        return 0.0 if is_allowed else (cost - left) / self._rate


class RateLimit:
    """429 for whoever asks too often, 401 for a key that nobody was given."""

    def __init__(self, app: ASGIApp, *, buckets: Buckets, keys: Mapping[bytes, str]) -> None:
        """`keys`: names by the SHA-256 of the key."""
        self._app = app
        self._buckets = buckets
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _NEVER_LIMITED:
            await self._app(scope, receive, send)
            return
        identity = self._identify(scope)
        if identity is None:
            response = answer_problem(401, "api-key-unknown", "this API key is not known here")
            await response(scope, receive, send)
            return
        if (seconds := self._buckets.take(identity, _find_cost(scope["path"]))) > 0:
            wait = math.ceil(seconds)
            detail = f"too many requests; this one may come in {wait} s"
            response = answer_problem(429, "too-many-requests", detail, seconds=wait)
            response.headers["retry-after"] = str(wait)
            await response(scope, receive, send)
            return
        scope.setdefault("state", {})["identity"] = identity
        await self._app(scope, receive, send)

    def _identify(self, scope: Scope) -> str | None:
        """None for an unknown key."""
        given = next((value for name, value in scope["headers"] if name == _KEY_HEADER), None)
        if given is None:
            return _name_place(scope["client"][0] if scope.get("client") else "")
        if len(given) > _LONGEST_KEY:
            return None
        name = self._keys.get(hashlib.sha256(given).digest())
        return None if name is None else f"key:{name}"


def load_api_keys(path: Path | None) -> dict[bytes, str]:
    """Lines of `NAME SHA256-OF-THE-KEY`, # for comments. Raises InvalidApiKeys."""
    if path is None:
        return {}
    keys: dict[bytes, str] = {}
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidApiKeys(f"{path} cannot be read: {error}", file=str(path)) from error
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            name, digest = words
            keys[_read_digest(digest)] = name
        except ValueError as error:
            message = f"{path}:{number}: expected a name and 64 hex digits"
            raise InvalidApiKeys(message, file=str(path), line=number) from error
    return keys


def _read_digest(text: str) -> bytes:
    digest = bytes.fromhex(text)
    if len(digest) != 32:
        raise ValueError(f"{len(digest)} bytes")
    return digest


def _find_cost(path: str) -> int:
    return next((cost for pattern, cost in _COSTS if pattern.fullmatch(path)), 1)


def _name_place(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "nowhere"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:  # all IPv4 customers of one socket share that /64
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
