"""News as the chain's node tells them over a WebSocket: a reason to look, and nothing more.

What is told is not believed: whoever is woken reads the chain as ever, and looks from time to time
anyway, so that a subscription that breaks costs time and nothing else.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import structlog
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

log = structlog.get_logger(__name__)
_OPEN_SECONDS = 5.0
_RECONNECT_SECONDS = 2.0
_MOST_BYTES = 2 * 2**20  # a header has two thousand, a log some hundred thousand
TOLD_INTERVAL = 0.5  # between looks while the node tells of blocks: deadlines are in no block
_SLICE = 0.2  # in which a wish to stop is heard
_NO_LOGS = "0x" + "00" * 256


class _Watch:
    """A subscription, made again when it breaks. What is called runs in its thread."""

    def __init__(
        self,
        url: str,
        wake: Callable[[], None],
        subscription: list[Any],
        is_reason: Callable[[dict[str, Any]], bool],
    ) -> None:
        """`url`: ws:// or wss://, of a node of the chain that is read."""
        self._url = url
        self._wake = wake
        self._subscription = subscription
        self._is_reason = is_reason  # of a header or a log as it was told
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
            connection.send(json.dumps(_ask(self._subscription)))
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
        elif self._is_reason(_read(message["params"])):
            self._wake()


def _ask(subscription: list[Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": subscription}


def _read(params: object) -> dict[str, Any]:
    result = params.get("result") if isinstance(params, dict) else None
    return result if isinstance(result, dict) else {}


class HeadWatch(_Watch):
    """Calls `wake` for each new block in which something happened, and for quiet ones if wanted.

    Both run in the watch's thread and must not block.
    """

    def __init__(
        self, url: str, wake: Callable[[], None], *, wants_quiet: Callable[[], bool] = lambda: False
    ) -> None:
        # Nothing of what a chain tells says that a block is quiet but a bloom filter without a bit.
        super().__init__(
            url,
            wake,
            ["newHeads"],
            lambda header: header.get("logsBloom") != _NO_LOGS or wants_quiet(),
        )


@dataclass(frozen=True, slots=True)
class LogChoice:
    """Logs of the contracts at `addresses` with one of `topics` in the first place."""

    addresses: Collection[str]
    topics: Collection[bytes]


class LogWatch(_Watch):
    """Calls `wake` for each block with chosen logs that `heeds` (of a first topic) lets through.

    Both run in the watch's thread and must not block.
    """

    def __init__(
        self, url: str, wake: Callable[[], None], choice: LogChoice, heeds: Callable[[bytes], bool]
    ) -> None:
        topics = ["0x" + topic.hex() for topic in choice.topics]
        condition = {"address": list(choice.addresses), "topics": [topics]}
        super().__init__(url, wake, ["logs", condition], self._is_news)
        self._heeds = heeds
        self._told: tuple[object, object] | None = None

    def _is_news(self, log_: dict[str, Any]) -> bool:
        """Of one block, and of its removal, one log is enough."""
        told = log_.get("blockHash"), log_.get("removed")
        if told == self._told or not self._heeds(_read_topic(log_)):
            return False
        self._told = told
        return True


def _read_topic(log_: dict[str, Any]) -> bytes:
    """Raises ValueError."""
    topics = log_.get("topics")
    if not isinstance(topics, list) or not topics or not isinstance(topics[0], str):
        raise ValueError("a log without a topic")
    return bytes.fromhex(topics[0].removeprefix("0x"))


class Lookout:
    """When to look at the chain next: after `interval` seconds, or as soon as something happened.

    Context manager; without `url` nothing is told and the interval is all there is.
    """

    def __init__(
        self,
        interval: float,
        url: str | None,
        choice: LogChoice,
        heeds: Callable[[bytes], bool] = lambda topic: True,
    ) -> None:
        """`heeds`: see LogWatch."""
        self._interval = interval
        self._told = threading.Event()
        self._watch = None if url is None else LogWatch(url, self._told.set, choice, heeds)

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
