"""How often one identity may ask: a bucket of requests each.

An identity is an API key or the account that has signed in, if a request carries either, otherwise
the address that it comes from: an IPv4 address, or the /64 of an IPv6 one, which is what one
customer gets. What costs the coordinator more counts as several requests.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import QueryParams
from starlette.types import ASGIApp, Receive, Scope, Send

from commonweal.errors import InvalidInput
from service.api.errors import answer_error, answer_problem
from service.buckets import Buckets
from service.sessions import SessionUnknown, Unauthorised

_NEVER_LIMITED = frozenset({"/health", "/ready", "/metrics"})
_KEY_HEADER, _SESSION_HEADER = b"x-api-key", b"authorization"
_BEARER = b"bearer "
_LONGEST_KEY = 200

# As many requests for a single row take about the same time.
_COSTS = (
    (re.compile(r"/v1/jobs/[^/]+/claims"), 50),
    (re.compile(r"/v1/drafts"), 50),
    (re.compile(r"/v1/jobs/[^/]+/(matrix|history)"), 20),
    (re.compile(r"/v1/sessions"), 20),
    (re.compile(r"/v1/overview"), 10),
    (re.compile(r"/v1/providers/[^/]+/(record|earnings)"), 5),
)
_MORE = "also"  # parameter: content that is asked for in the same request


class InvalidApiKeys(InvalidInput):
    code = "invalid-api-keys"


class ApiKeyUnknown(Unauthorised):
    code = "api-key-unknown"


@dataclass(frozen=True, slots=True)
class Caller:
    """`is_known`: by a key or a session, not only by where it comes from."""

    identity: str
    is_known: bool


class RateLimit:
    """429 for whoever asks too often, 401 for a key or a token that nobody was given."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        buckets: Buckets,
        keys: Mapping[bytes, str],
        read_token: Callable[[str], str],
    ) -> None:
        """`keys`: names by the SHA-256 of the key; `read_token`: the account, or Unauthorised."""
        self._app = app
        self._buckets = buckets
        self._keys = keys
        self._read_token = read_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _NEVER_LIMITED:
            await self._app(scope, receive, send)
            return
        try:
            caller = self._identify(dict(scope["headers"]), scope.get("client"))
        except Unauthorised as error:
            await answer_error(error)(scope, receive, send)
            return
        if (seconds := self._buckets.take(caller.identity, _find_cost(scope))) > 0:
            wait = math.ceil(seconds)
            detail = f"too many requests; this one may come in {wait} s"
            response = answer_problem(429, "too-many-requests", detail, seconds=wait)
            response.headers["retry-after"] = str(wait)
            await response(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)

    def _identify(self, headers: Mapping[bytes, bytes], client: tuple[str, int] | None) -> Caller:
        if (key := headers.get(_KEY_HEADER)) is not None:
            return Caller(self._name_key(key), is_known=True)
        if (given := headers.get(_SESSION_HEADER)) is not None:
            return Caller(self._name_account(given), is_known=True)
        return Caller(_name_place(client[0] if client else ""), is_known=False)

    def _name_key(self, key: bytes) -> str:
        is_short = len(key) <= _LONGEST_KEY
        name = self._keys.get(hashlib.sha256(key).digest()) if is_short else None
        if name is None:
            raise ApiKeyUnknown("this API key is not known here")
        return f"key:{name}"

    def _name_account(self, given: bytes) -> str:
        if given[: len(_BEARER)].lower() != _BEARER:
            raise SessionUnknown("only bearer tokens are given here")
        token = given[len(_BEARER) :].strip()
        return f"account:{self._read_token(token.decode('latin-1'))}"


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


def _find_cost(scope: Scope) -> int:
    cost = next((cost for pattern, cost in _COSTS if pattern.fullmatch(scope["path"])), 1)
    return cost + len(QueryParams(scope.get("query_string", b"")).getlist(_MORE))


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
