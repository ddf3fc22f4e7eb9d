"""New blocks as the chain's node tells them over a WebSocket: a reason to look, and nothing more.

What is told is not believed: whoever is woken reads the chain as ever, and looks from time to time
anyway, so that a subscription that breaks costs time and nothing else.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from types import TracebackType

import structlog
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

log = structlog.get_logger(__name__)
_SUBSCRIBE = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}
_OPEN_SECONDS = 5.0
_RECONNECT_SECONDS = 2.0
_MOST_BYTES = 64 * 2**10  # a header has about two thousand
TOLD_INTERVAL = 0.5  # between looks while the node tells of blocks: deadlines are in no block
_SLICE = 0.2  # in which a wish to stop is heard
_NO_LOGS = "0x" + "00" * 256


class HeadWatch:
    """Calls `wake` for each new block in which something happened, and for quiet ones if wanted.

    Both run in the watch's thread and must not block.
    """

    def __init__(
        self, url: str, wake: Callable[[], None], *, wants_quiet: Callable[[], bool] = lambda: False
    ) -> None:
        """`url`: ws:// or wss://, of a node of the chain that is read."""
        self._url = url
        self._wake = wake
        self._wants_quiet = wants_quiet
        self._stopping = threading.Event()
        self._connection: ClientConnection | None = None
        self._thread = threading.Thread(target=self._run, name="heads", daemon=True)
        self.is_told = False  # the subscription stands

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if (connection := self._connection) is not None:
            connection.close()
        self._thread.join(timeout=_OPEN_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except (OSError, WebSocketException, ValueError) as error:
                if self.is_told:
                    log.warning("new blocks are not told any more", reason=str(error))
            self.is_told = False
            self._wake()
            self._stopping.wait(_RECONNECT_SECONDS)

    def _listen(self) -> None:
        with connect(
            self._url,
            proxy=None,
            compression=None,
            open_timeout=_OPEN_SECONDS,
            max_size=_MOST_BYTES,
        ) as connection:
            self._connection = connection
            connection.send(json.dumps(_SUBSCRIBE))
            for message in connection:
                if self._stopping.is_set():
                    return
                self._take(json.loads(message))

    def _take(self, message: object) -> None:
        if not isinstance(message, dict):
            raise ValueError("no JSON-RPC")
        if "error" in message:
            raise ValueError(f"the node refuses to tell: {message['error']}")
        if "params" not in message:
            self.is_told = True
            self._wake()  # for what came before the subscription
        elif not _is_quiet(message["params"]) or self._wants_quiet():
            self._wake()


def _is_quiet(params: object) -> bool:
    """Nothing of what a chain tells says that a block is quiet but a bloom filter without a bit."""
    header = params.get("result") if isinstance(params, dict) else None
    return isinstance(header, dict) and header.get("logsBloom") == _NO_LOGS


class Lookout:
    """When to look at the chain next: after `interval` seconds, or as soon as something happened.

    Context manager; without `url` nothing is told and the interval is all there is.
    """

    def __init__(self, interval: float, url: str | None) -> None:
        self._interval = interval
        self._told = threading.Event()
        self._watch = None if url is None else HeadWatch(url, self._told.set)

    def __enter__(self) -> Lookout:
        if self._watch is not None:
            self._watch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._watch is not None:
            self._watch.stop()

    def wait(self, stop: threading.Event) -> None:
        """Returns when it is time to look, or when `stop` is set."""
        is_told = self._watch is not None and self._watch.is_told
        interval = max(self._interval, TOLD_INTERVAL) if is_told else self._interval
        ends = time.monotonic() + interval
        while not stop.is_set() and (left := ends - time.monotonic()) > 0:
            if self._told.wait(min(left, _SLICE)):
                break
        self._told.clear()
