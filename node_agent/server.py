"""The node's own gateway: serves its store to whoever asks, from a thread of its process."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from commonweal.adapters.content.gateway import gateway_routes
from commonweal.adapters.content.store import ContentStore
from commonweal.errors import Conflict, Unavailable

_START_SECONDS = 15.0


class PortTaken(Conflict):
    code = "port-in-use"


class CannotListen(Conflict):
    code = "cannot-listen"


class ServerNotStarted(Unavailable):
    code = "server-not-started"


class ContentServer:
    """`url` is where it listens, with the port that was free if 0 was asked for."""

    def __init__(self, store: ContentStore, host: str, port: int) -> None:
        """Raises PortTaken, CannotListen."""
        self._socket = _bind(host, port)
        self.url = f"http://{_show_host(host)}:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            build_app(store),
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=60,
            limit_concurrency=64,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="content-server", daemon=True)

    def start(self) -> None:
        """Returns when it listens."""
        self._thread.start()
        ends = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if time.monotonic() > ends or not self._thread.is_alive():
                raise ServerNotStarted("the content server did not start", url=self.url)
            time.sleep(0.01)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self._socket.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])


def build_app(store: ContentStore) -> FastAPI:
    app = FastAPI(title="Commonweal node", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(gateway_routes(store))

    @app.get("/health")
    def get_health() -> dict[str, str]:
        return {"status": "ok"}

    return app


def write_endpoint(path: Path, url: str) -> None:
    """In one step, so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(url + "\n")
    os.replace(partial, path)


def read_endpoint(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        return None


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle off only where TCP is named: small answers would wait 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        kind = PortTaken if error.errno == errno.EADDRINUSE else CannotListen
        message = f"cannot listen on {host}:{port}: {error.strerror}"
        raise kind(message, host=host, port=port) from error
    return listener


def _show_host(host: str) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
