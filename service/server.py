"""The coordinator's process: socket, uvicorn, the endpoint file, and a clean end on a signal."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
import uvicorn

from commonweal.adapters.listening import open_listener, url_of, write_endpoint
from commonweal.garbage import collect_seldom
from service.app import create_app
from service.services import open_services
from service.settings import Settings

log = structlog.get_logger(__name__)
_KEEP_ALIVE_SECONDS = 75  # idle agents keep their connections
_GRACE_SECONDS = 3
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(settings: Settings) -> None:
    """Returns after SIGTERM or SIGINT. Raises what `open_listener` and `open_services` raise."""
    listener = open_listener(settings.host, settings.port)
    with listener:
        port = listener.getsockname()[1]
        services = open_services(settings.model_copy(update={"port": port}))
        config = uvicorn.Config(
            create_app(services),
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            log_config=None,
            access_log=False,
            server_header=False,
        )
        collect_seldom()
        _Server(config, settings.data_dir / "endpoint").run(sockets=[listener])
    log.info("coordinator stopped")


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, endpoint: Path) -> None:
        super().__init__(config)
        self._endpoint = endpoint

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.should_exit or not sockets:
            return
        url = url_of(sockets[0])
        write_endpoint(self._endpoint, url)
        log.info("coordinator listening", url=url)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A signal is a wish that has been granted: unlike uvicorn's, it is not raised again."""
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._endpoint.unlink(missing_ok=True)
        await super().shutdown(sockets=sockets)
