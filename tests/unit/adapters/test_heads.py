"""Being told of new blocks: by a node played here, over a real socket on the loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from websockets.sync.server import ServerConnection, serve

from commonweal.adapters.heads import HeadWatch, LogChoice, LogWatch, Lookout

PHASE, ROUND = b"\x01" * 32, b"\x02" * 32
CHOICE = LogChoice(["0x" + "aa" * 20], [PHASE, ROUND])
QUIET, BUSY = "0x" + "00" * 256, "0x" + "00" * 255 + "01"


class Node:
    """Answers the subscription and tells of the blocks it is asked to tell of."""

    def __init__(self, answer: object = "0x1") -> None:
        self.answer = answer
        self.asked: list[object] = []
        self.connected = threading.Event()
        self._connections: list[ServerConnection] = []

    def __call__(self, connection: ServerConnection) -> None:
        self.asked.append(json.loads(connection.recv())["params"])
        key = "error" if isinstance(self.answer, dict) else "result"
        connection.send(json.dumps({"jsonrpc": "2.0", "id": 1, key: self.answer}))
        self._connections.append(connection)
        self.connected.set()
        for _ in connection:
            pass

    def tell(self, bloom: str) -> None:
        self._tell({"number": "0x7", "logsBloom": bloom})

    def tell_log(self, topic: bytes, block: int, *, removed: bool = False) -> None:
        topics = ["0x" + topic.hex()]
        self._tell({"blockHash": f"0x{block:064x}", "topics": topics, "removed": removed})

    def _tell(self, result: object) -> None:
        params = {"subscription": "0x1", "result": result}
        message = {"jsonrpc": "2.0", "method": "eth_subscription", "params": params}
        self._connections[-1].send(json.dumps(message))

    def hang_up(self) -> None:
        self._connections[-1].close()


@contextmanager
def listening(node: Node) -> Iterator[str]:
    with serve(node, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


def wait_until(condition: object, seconds: float = 10.0) -> None:
    assert callable(condition)
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.005)


@pytest.mark.parametrize(("wants_quiet", "wakes"), [(True, 3), (False, 2)])
def test_wakes_for_blocks(wants_quiet: bool, wakes: int) -> None:
    node, woken = Node(), []
    with listening(node) as url:
        watch = HeadWatch(url, lambda: woken.append(1), wants_quiet=lambda: wants_quiet)
        watch.start()
        wait_until(lambda: watch.is_told)
        node.tell(QUIET)
        node.tell(BUSY)
        wait_until(lambda: len(woken) >= wakes)
        assert len(woken) == wakes  # once for what came before the subscription
        assert node.asked == [["newHeads"]]
        watch.stop()


def test_wakes_once_for_a_block_with_logs_that_are_heeded() -> None:
    node, woken = Node(), []
    with listening(node) as url:
        watch = LogWatch(url, lambda: woken.append(1), CHOICE, lambda topic: topic == ROUND)
        watch.start()
        wait_until(lambda: watch.is_told)
        told = [(PHASE, 1, False), (ROUND, 1, False), (ROUND, 1, False), (PHASE, 2, False)]
        for topic, block, removed in [*told, (ROUND, 1, True), (ROUND, 3, False)]:
            node.tell_log(topic, block, removed=removed)
        wait_until(lambda: len(woken) >= 4)
        assert len(woken) == 4  # once for what came before the subscription
        topics = [["0x" + PHASE.hex(), "0x" + ROUND.hex()]]
        assert node.asked == [["logs", {"address": ["0x" + "aa" * 20], "topics": topics}]]
        watch.stop()


def test_a_log_without_a_topic_ends_the_subscription() -> None:
    node, woken = Node(), []
    with listening(node) as url:
        watch = LogWatch(url, lambda: woken.append(1), CHOICE, lambda topic: True)
        watch.start()
        wait_until(lambda: watch.is_told)
        node.tell(BUSY)
        wait_until(lambda: not watch.is_told)
        watch.stop()


@pytest.mark.parametrize("answer", [{"code": -32601, "message": "no such method"}])
def test_a_node_that_refuses_is_not_trusted_to_tell(answer: object) -> None:
    node, woken = Node(answer), []
    with listening(node) as url:
        watch = HeadWatch(url, lambda: woken.append(1))
        watch.start()
        wait_until(lambda: woken)
        assert not watch.is_told
        watch.stop()


def test_a_broken_subscription_wakes_and_is_not_told() -> None:
    node, woken = Node(), []
    with listening(node) as url:
        watch = HeadWatch(url, lambda: woken.append(1))
        watch.start()
        wait_until(lambda: watch.is_told)
        woken.clear()
        node.hang_up()
        wait_until(lambda: woken)
        assert not watch.is_told
        watch.stop()


def test_a_lookout_returns_at_once_when_something_happened() -> None:
    node, stop = Node(), threading.Event()
    with listening(node) as url, Lookout(60.0, url, CHOICE) as lookout:
        lookout.wait(stop)  # the subscription stands
        threading.Timer(0.05, node.tell_log, [PHASE, 1]).start()
        lookout.wait(stop)
        assert not stop.is_set()


def test_a_lookout_hears_the_wish_to_stop() -> None:
    stop = threading.Event()
    with Lookout(3600.0, None, CHOICE) as lookout:
        threading.Timer(0.05, stop.set).start()
        lookout.wait(stop)
        assert stop.is_set()


def test_without_a_node_the_interval_is_kept() -> None:
    with Lookout(0.01, "ws://127.0.0.1:9", CHOICE) as lookout:
        lookout.wait(threading.Event())
