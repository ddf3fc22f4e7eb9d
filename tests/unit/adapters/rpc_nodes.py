"""A chain's node that answers over real HTTP whatever a test wants it to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

from commonweal.adapters.rpc import HttpProvider

Answer = Callable[[bytes], tuple[int, bytes]]  # status and body for a request's body


@contextmanager
def serve(answer: Answer) -> Iterator[HttpProvider]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, body = answer(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        provider = HttpProvider(f"http://127.0.0.1:{server.server_port}", timeout=5)
        yield provider
        provider.close()
        server.shutdown()
