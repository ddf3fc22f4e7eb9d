"""What goes over the wire to Kubo, and what its errors become."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kubo_rpc import KuboRpc, serving

from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.kubo import KuboStore
from commonweal.adapters.content.store import (
    ContentCorrupt,
    ContentTooLarge,
    StoreFull,
    StoreUnavailable,
)
from commonweal.errors import InvalidInput
from commonweal.protocol.manifests import ModelManifest, encode_manifest


@pytest.fixture
def rpc(tmp_path: Path) -> KuboRpc:
    return KuboRpc(EmbeddedStore(tmp_path))


@pytest.fixture
def store(rpc: KuboRpc) -> Iterator[KuboStore]:
    with serving(rpc) as url:
        yield KuboStore(url)


def test_every_call_is_offline_and_blocks_name_their_codec(rpc: KuboRpc, store: KuboStore) -> None:
    store.put(bytes(2**20 + 1))
    assert all(options["offline"] == "true" for _, options in rpc.requests)
    puts = [options["cid-codec"] for path, options in rpc.requests if path == "block/put"]
    assert puts == ["raw", "raw", "dag-pb"]


def test_a_proxy_in_the_environment_is_not_asked(
    store: KuboStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert store.put(b"x")


def test_a_manifest_is_pinned_directly_and_its_payload_recursively(
    rpc: KuboRpc, store: KuboStore
) -> None:
    weights = store.put(b"w")
    store.unpin(weights)
    cid = store.put_block(encode_manifest(ModelManifest(weights=weights)))
    store.pin(cid)
    assert (rpc.direct, rpc.recursive) == ({cid}, {weights})
    store.unpin(cid)
    assert (rpc.direct, rpc.recursive) == (set(), set())


def test_a_payload_stays_while_another_manifest_needs_it(rpc: KuboRpc, store: KuboStore) -> None:
    weights = store.put(b"w")
    first = store.put_block(encode_manifest(ModelManifest(weights=weights)))
    later = ModelManifest(weights=weights, parent=first, job=1, round=1, contributors=b"c" * 32)
    second = store.put_block(encode_manifest(later))
    store.pin(first)
    store.pin(second)
    rpc.direct.add("QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn")  # somebody else's
    rpc.direct.add("bafkqaaa")
    store.unpin(first)
    assert weights in rpc.recursive
    store.unpin(second)
    assert weights not in rpc.recursive


def test_other_bytes_are_refused(rpc: KuboRpc, store: KuboStore) -> None:
    cid = store.put(b"true")
    rpc.swap = b"fake"
    with pytest.raises(ContentCorrupt):
        store.get(cid, max_bytes=99)
    rpc.swap = bytes(100)
    with pytest.raises(ContentTooLarge):
        store.get(cid, max_bytes=99)


def test_a_full_daemon_is_store_full(rpc: KuboRpc, store: KuboStore) -> None:
    rpc.fault = "write /data/blocks/put-1: no space left on device"
    with pytest.raises(StoreFull):
        store.put(b"x")


def test_other_refusals_are_unavailable(rpc: KuboRpc, store: KuboStore) -> None:
    cid = store.put(b"x")
    rpc.fault = "lock taken"
    for call in (store.has, store.unpin, store.get_block):
        with pytest.raises(StoreUnavailable) as caught:
            call(cid)
        assert "lock taken" in str(caught.value.details["cause"])


def test_no_daemon_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        KuboStore("/ip4/127.0.0.1/tcp/1").put(b"x")


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(InvalidInput):
        KuboStore("localhost:5001")
