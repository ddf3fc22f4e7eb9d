"""HTTP to strangers: a whole exchange has a deadline, and an answer a size.

httpx bounds each read by itself: headers that drip a byte every few seconds would hold a thread for
days.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

_READ_SECONDS, _CONNECT_SECONDS = 10.0, 3.0
_WRITE_BYTES = 64 * 2**10
_MAX_ENDPOINT = 256
# What httpx lets through for an address that cannot be dialled; a UnicodeError is a ValueError.
UNDIALLABLE = (httpx.InvalidURL, ValueError, OverflowError)
_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


def open_client() -> httpx.Client:
    """Follows no redirects and no proxies of the environment; heeds `within`."""
    timeout = httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS)
    return httpx.Client(transport=_Transport(), trust_env=False, timeout=timeout)


def is_endpoint(text: str) -> bool:
    """Whether it can be dialled at all: a plain http address, its host's labels and its port."""
    if len(text) > _MAX_ENDPOINT or _URL.fullmatch(text) is None:
        return False
    try:
        url = httpx.URL(text)
        url.raw_host.decode().encode("idna")  # as sockets do; reading `host` decodes xn-- labels
        return url.host != "" and (url.port is None or 0 < url.port < 2**16)
    except UNDIALLABLE:
        return False


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What this thread exchanges meanwhile ends in time, or with httpx.TimeoutException.

    An address that cannot be dialled is an httpx.ConnectError, as if nobody answered there.
    """
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    except UNDIALLABLE as error:
        raise httpx.ConnectError(f"the address cannot be dialled: {error}") from error
    finally:
        _deadline.reset(token)


def request(
    client: httpx.Client, method: str, url: str, *, seconds: float, most_bytes: int, **options: Any
) -> httpx.Response:
    """Status and body. Raises httpx.HTTPError, for an answer above `most_bytes` too."""
    headers = {"Accept-Encoding": "identity", **options.pop("headers", {})}
    with within(seconds), client.stream(method, url, headers=headers, **options) as response:
        body = bytearray()
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > most_bytes:
                raise httpx.ReadError(f"the answer has more than {most_bytes} bytes")
        return httpx.Response(response.status_code, content=bytes(body))


class _Transport(httpx.HTTPTransport):
    def __init__(self) -> None:
        super().__init__(trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=5.0,
            network_backend=_Backend(),
        )


class _Backend(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = _time_left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._backend.connect_tcp(host, port, left, local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _time_left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for at in range(0, len(buffer), _WRITE_BYTES):
            left = _time_left(timeout, httpcore.WriteTimeout)
            self._stream.write(buffer[at : at + _WRITE_BYTES], left)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _time_left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _time_left(timeout: float | None, error: type[Exception]) -> float | None:
    deadline = _deadline.get()
    if deadline is None:
        return timeout
    left = deadline - time.monotonic()
    if left <= 0:
        raise error("the exchange took too long")
    return left if timeout is None else min(left, timeout)
