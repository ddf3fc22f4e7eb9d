"""The node's own gateway: serves its store to whoever asks, from a thread of its process."""

from __future__ import annotations

import threading
import time

import uvicorn
from fastapi import FastAPI

from commonweal.adapters.content.gateway import gateway_routes
from commonweal.adapters.content.store import ContentStore
from commonweal.adapters.listening import open_listener, url_of
from commonweal.errors import Unavailable

_START_SECONDS = 15.0


class ServerNotStarted(Unavailable):
    code = "server-not-started"


class ContentServer:
    """`url` is where it listens, with the port that was free if 0 was asked for."""

    def __init__(self, store: ContentStore, host: str, port: int) -> None:
        """Raises PortInUse, CannotListen."""
        self._socket = open_listener(host, port)
        self.url = url_of(self._socket)
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
