"""A door to the chain that can be told to misbehave as endpoints do."""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import urllib3

TROUBLES = ("429", "500", "garbage", "late")
_LATE_SECONDS = 2.0


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Clients are killed in mid-request: that is what this is for."""


class FaultyProxy:
    """`trouble` is one of TROUBLES, or empty: everything passes."""

    def __init__(self, upstream: str) -> None:
        self.trouble = ""
        self._upstream = upstream
        self._pool = urllib3.PoolManager(retries=False, timeout=30)
        self._server = _QuietServer(("127.0.0.1", 0), self._make_handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._pool.clear()

    def answer(self, body: bytes) -> tuple[int, bytes]:
        if self.trouble in ("429", "500"):
            return int(self.trouble), b"no"
        if self.trouble == "garbage":
            return 200, b'{"jsonrpc": "2.0", "id": 1, "res'
        if self.trouble == "late":
            time.sleep(_LATE_SECONDS)
        try:
            headers = {"Content-Type": "application/json"}
            answer = self._pool.request("POST", self._upstream, body=body, headers=headers)
        except urllib3.exceptions.HTTPError:
            return 502, b"no chain"
        return answer.status, answer.data

    def _make_handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                status, body = proxy.answer(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
