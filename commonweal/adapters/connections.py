"""Kept-alive HTTP connections to one place, for requests that may be made twice.

The standard library's, since a node asks its chain a dozen things per round: larger clients take
two to four times as long for one.
"""

from __future__ import annotations

import ssl
import threading
import weakref
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

_KEPT = 8
_HEADERS = {"Content-Type": "application/json"}


class Connections:
    """Safe to share between threads. No proxies, redirects or credentials in the URL."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url = parts = urlsplit(url)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._timeout = timeout
        self._lock = threading.Lock()
        self._idle: list[HTTPConnection] = []
        weakref.finalize(self, _close_all, self._idle)

    def post(self, body: bytes) -> tuple[int, bytes]:
        """Status and body. Raises OSError, HTTPException, ValueError (for the URL).

        Whoever listens may have closed a connection meanwhile: then another is opened.
        """
        while (connection := self._take()) is not None:
            try:
                return self._exchange(connection, body)
            except TimeoutError:
                raise
            except (OSError, HTTPException):
                continue
        return self._exchange(self._open(), body)

    def close(self) -> None:
        with self._lock:
            _close_all(self._idle)

    def _take(self) -> HTTPConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _open(self) -> HTTPConnection:
        host, port, timeout = self._url.hostname or "", self._url.port, self._timeout
        if self._url.scheme == "https":
            context = ssl.create_default_context()
            return HTTPSConnection(host, port, timeout=timeout, context=context)
        if self._url.scheme != "http":
            raise ValueError("it is neither http nor https")
        return HTTPConnection(host, port, timeout=timeout)

    def _exchange(self, connection: HTTPConnection, body: bytes) -> tuple[int, bytes]:
        try:
            connection.request("POST", self._path, body, _HEADERS)
            answer = connection.getresponse()
            data = answer.read()
        except BaseException:
            connection.close()
            raise
        if not answer.will_close:
            self._give_back(connection)
        return answer.status, data

    def _give_back(self, connection: HTTPConnection) -> None:
        with self._lock:
            if len(self._idle) < _KEPT:
                self._idle.append(connection)
                return
        connection.close()


def _close_all(idle: list[HTTPConnection]) -> None:
    while idle:
        idle.pop().close()
