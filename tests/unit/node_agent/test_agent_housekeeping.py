"""The node's store never stays full of other people's updates."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from commonweal.adapters.content.embedded import EmbeddedStore
from node_agent.housekeeping import keep_room


def run_until(store: EmbeddedStore, seconds: float, gone: str | None) -> None:
    stop = threading.Event()
    options = {"pause_seconds": 0.01, "grace_seconds": 0.0}
    thread = threading.Thread(target=keep_room, args=(store, stop), kwargs=options)
    thread.start()
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and (gone is None or store.has(gone)):
        time.sleep(0.01)
    stop.set()
    thread.join()


def test_a_nearly_full_store_drops_what_is_not_pinned(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, max_bytes=1000)
    own, fetched = store.put(bytes(450)), store.put_block(b"\x01" * 460, "raw")
    run_until(store, 5.0, fetched)
    assert store.has(own)
    assert not store.has(fetched)


def test_a_store_with_room_keeps_everything(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, max_bytes=1000)
    fetched = store.put_block(b"\x01" * 460, "raw")
    run_until(store, 0.1, None)
    assert store.has(fetched)
