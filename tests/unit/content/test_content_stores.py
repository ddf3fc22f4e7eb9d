"""One behaviour for every store: the embedded one, Kubo's RPC, and a real daemon if given."""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from content_samples import PatternStream, file_node, pattern
from kubo_rpc import KuboRpc, serving

from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.kubo import KuboStore
from commonweal.adapters.content.store import ContentNotFound, ContentStore, ContentTooLarge
from commonweal.adapters.content.unixfs import CHUNK_BYTES
from commonweal.protocol.cids import InvalidCid, compute_cid
from commonweal.protocol.manifests import ModelManifest, encode_manifest

NOWHERE = str(compute_cid(b"nobody has this", "raw"))


@pytest.fixture(params=["embedded", "kubo-rpc", "kubo-daemon"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ContentStore]:
    if request.param == "embedded":
        yield EmbeddedStore(tmp_path)
    elif request.param == "kubo-rpc":
        with serving(KuboRpc(EmbeddedStore(tmp_path))) as url:
            yield KuboStore(url)
    else:
        url = os.environ.get("WEAL_TEST_KUBO_API")
        if url is None:
            pytest.skip("left out: no Kubo daemon given in WEAL_TEST_KUBO_API")
        yield KuboStore(url)


def test_is_a_content_store(store: ContentStore) -> None:
    assert isinstance(store, ContentStore)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 5])
def test_a_file_comes_back(store: ContentStore, size: int) -> None:
    cid = store.put(pattern(size))
    assert store.get(cid, max_bytes=size) == pattern(size)
    assert store.has(cid)


def test_a_stream_and_its_bytes_have_one_cid(store: ContentStore) -> None:
    assert store.put(PatternStream(CHUNK_BYTES + 7)) == store.put(pattern(CHUNK_BYTES + 7))
    assert store.put(BytesIO(b"x")) == store.put(b"x")


def test_a_file_larger_than_asked_is_refused_with_numbers(store: ContentStore) -> None:
    cid = store.put(pattern(CHUNK_BYTES + 7))
    with pytest.raises(ContentTooLarge) as caught:
        store.get(cid, max_bytes=CHUNK_BYTES)
    assert caught.value.details["limit"] == CHUNK_BYTES


def test_a_block_larger_than_asked_is_refused(store: ContentStore) -> None:
    cid = store.put(b"four")
    with pytest.raises(ContentTooLarge):
        store.get_block(cid, max_bytes=3)
    assert store.get_block(cid, max_bytes=4) == b"four"


def test_blocks_above_two_mebibytes_are_refused(store: ContentStore) -> None:
    with pytest.raises(ContentTooLarge) as caught:
        store.put_block(bytes(2 * CHUNK_BYTES + 1), "raw")
    assert caught.value.details["size"] == 2 * CHUNK_BYTES + 1


@pytest.mark.parametrize("codec", ["raw", "dag-cbor", "dag-pb"])
def test_a_block_comes_back_under_its_cid(store: ContentStore, codec: str) -> None:
    block = {"raw": b"x", "dag-cbor": b"\xa0", "dag-pb": file_node([])}[codec]
    cid = store.put_block(block, codec)
    assert cid == str(compute_cid(block, codec))
    assert store.get_block(cid) == block


def test_what_is_not_there_is_not_found(store: ContentStore) -> None:
    assert not store.has(NOWHERE)
    for call in (store.get_block, store.pin, lambda cid: store.get(cid, max_bytes=99)):
        with pytest.raises(ContentNotFound):
            call(NOWHERE)


def test_what_is_no_cid_is_refused(store: ContentStore) -> None:
    for call in (store.get_block, store.pin, store.unpin, store.has):
        with pytest.raises(InvalidCid):
            call("../../etc/passwd")


def test_a_file_without_a_leaf_is_not_had_and_cannot_be_pinned(store: ContentStore) -> None:
    missing = compute_cid(b"this leaf is nowhere", "raw")
    cid = store.put_block(file_node([(missing, 20)]), "dag-pb")
    assert not store.has(cid)
    with pytest.raises(ContentNotFound):
        store.pin(cid)


def test_a_manifest_is_had_with_its_payload_and_without_its_parent(store: ContentStore) -> None:
    weights = store.put(pattern(CHUNK_BYTES + 1))
    nowhere = str(compute_cid(b"\xa1", "dag-cbor"))
    model = ModelManifest(weights=weights, parent=nowhere, job=1, round=1, contributors=b"c" * 32)
    cid = store.put_block(encode_manifest(model))
    assert store.has(cid)
    store.pin(cid)
    orphan = ModelManifest(weights=NOWHERE)
    assert not store.has(store.put_block(encode_manifest(orphan)))


def test_unpinning_twice_or_what_was_never_pinned_does_nothing(store: ContentStore) -> None:
    cid = store.put(b"x")
    store.unpin(cid)
    store.unpin(cid)
    store.unpin(NOWHERE)
    assert store.get(cid, max_bytes=1) == b"x"
