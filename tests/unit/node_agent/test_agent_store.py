"""Where a node keeps its content: its own folder, or the Kubo daemon that is configured."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.kubo import KuboStore
from commonweal.adapters.content.store import StoreUnavailable
from commonweal.learning.data import DigitsSource
from node_agent.config import Content, NodeConfig
from node_agent.runtime import open_store


def make_config(folder: Path, content: Content) -> NodeConfig:
    return NodeConfig(
        rpc_url="http://127.0.0.1:1",
        deployment=folder / "deployment.json",
        data_dir=folder,
        data=DigitsSource(),
        content=content,
    )


def test_its_own_folder_if_nothing_is_said(tmp_path: Path) -> None:
    store = open_store(make_config(tmp_path, Content()))
    assert isinstance(store, EmbeddedStore)
    store.put(b"x")
    assert any((tmp_path / "content").rglob("*"))


def test_the_daemon_that_is_named_and_nothing_else(tmp_path: Path) -> None:
    store = open_store(make_config(tmp_path, Content(kubo="http://127.0.0.1:9")))
    assert isinstance(store, KuboStore)
    with pytest.raises(StoreUnavailable):
        store.put(b"x")
    assert not (tmp_path / "content").exists()


def test_a_real_daemon_keeps_what_the_node_stores(tmp_path: Path) -> None:
    url = os.environ.get("WEAL_TEST_KUBO_API")
    if url is None:
        pytest.skip("left out: no Kubo daemon given in WEAL_TEST_KUBO_API")
    store = open_store(make_config(tmp_path, Content(kubo=url)))
    cid = store.put(b"stored by a node")
    assert KuboStore(url).get(cid, max_bytes=100) == b"stored by a node"
