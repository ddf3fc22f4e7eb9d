"""What travels in one exchange: a pin's content, several pins', and a new update's upload."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from content_sources import Network, honest

from commonweal.adapters.content.car import stream_held
from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.wire import encode_varint
from commonweal.protocol.cids import compute_cid, parse_cid
from commonweal.protocol.manifests import ModelManifest, digest_of_cid, encode_manifest


class Shelf:
    """Hands out what its store holds in one piece; `spoil` changes the bytes."""

    def __init__(self, store: EmbeddedStore, spoil: Callable[[bytes], bytes] = bytes) -> None:
        self.store, self.spoil = store, spoil
        self.forms: list[str] = []
        self.asked: list[int] = []  # roots per exchange

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.forms.append(request.url.params["format"])
        if self.forms[-1] == "raw":
            return honest(self.store)(request)
        assert request.url.params["dag-scope"] == "held"
        root = parse_cid(request.url.path.rsplit("/", 1)[1])
        roots = [root, *map(parse_cid, request.url.params.get_list("also"))]
        self.asked.append(len(roots))
        car = b"".join(stream_held(self.store, roots))
        return httpx.Response(200, stream=httpx.ByteStream(self.spoil(car)))


def put_model(store: EmbeddedStore, weights: bytes = b"weights") -> str:
    return store.put_block(encode_manifest(ModelManifest(weights=store.put(weights))))


def test_a_manifest_and_its_payload_come_in_one_exchange(
    theirs: EmbeddedStore, ours: EmbeddedStore
) -> None:
    cid, shelf = put_model(theirs), Shelf(theirs)
    fetcher = Network(shelf=shelf).fetcher(ours)
    for _ in range(2):
        fetcher.fetch_held(cid, max_bytes=1_000)
        assert ours.has(cid)
    assert shelf.forms == ["car"]


def test_several_come_in_as_few_exchanges_as_can_be(
    theirs: EmbeddedStore, ours: EmbeddedStore
) -> None:
    cids = [put_model(theirs, bytes([number])) for number in range(40)]
    nowhere = str(compute_cid(b"\xa0", "dag-cbor"))
    put_model(ours, bytes([0]))
    shelf = Shelf(theirs)
    Network(shelf=shelf).fetcher(ours).fetch_held_together([nowhere, *cids], max_bytes=2_000)
    assert all(ours.has(cid) for cid in cids)
    assert not ours.has(nowhere)
    assert shelf.asked == [32, 8]
    few = [put_model(theirs, bytes([200, number])) for number in range(20)]
    Network(shelf=shelf).fetcher(ours).fetch_held_together(few, max_bytes=2 * 2**20)
    assert shelf.asked[2:] == [8, 8, 4]


def test_what_is_large_is_left_to_the_fetch_by_blocks(
    theirs: EmbeddedStore, ours: EmbeddedStore
) -> None:
    cid, shelf = put_model(theirs), Shelf(theirs)
    Network(shelf=shelf).fetcher(ours).fetch_held(cid, max_bytes=10**8)
    assert shelf.forms == []


def _frame(block: bytes) -> bytes:
    section = compute_cid(block, "raw").binary + block
    return encode_varint(len(section)) + section


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"lies",
        lambda car: car[:-1],
        lambda car: car[:-1] + b"!",
        lambda car: car[: car.rindex(b"weights") - 37] + _frame(b"of nobody's asking"),
        lambda car: car + b"\xff" * 20,
        lambda car: car + bytes(100_000),
    ],
    ids=["no car", "cut off", "other bytes", "not asked for", "no length", "too long"],
)
def test_a_shelf_that_lies_is_no_more_than_a_shortcut_missed(
    spoil: Callable[[bytes], bytes], theirs: EmbeddedStore, ours: EmbeddedStore
) -> None:
    cid, shelf = put_model(theirs), Shelf(theirs, spoil)
    fetcher = Network(shelf=shelf).fetcher(ours, attempts=1)
    fetcher.fetch_held(cid, max_bytes=1_000)
    for unasked in (b"of nobody's asking", b"weight!"):
        assert not ours.has(str(compute_cid(unasked, "raw")))
    assert fetcher.fetch_manifest(digest_of_cid(cid)) == ModelManifest(
        weights=theirs.put(b"weights")
    )
    assert fetcher.fetch(theirs.put(b"weights"), max_bytes=7) == b"weights"


def test_without_sources_there_is_no_shortcut(ours: EmbeddedStore) -> None:
    Network().fetcher(ours).fetch_held(str(compute_cid(b"x", "dag-cbor")), max_bytes=10)


def test_what_is_new_goes_in_one_exchange_and_nobody_is_asked_for_it(ours: EmbeddedStore) -> None:
    network = Network(peer=lambda _: httpx.Response(201))
    assert network.fetcher(ours).push(put_model(ours), "http://peer", is_new=True) == 2
    assert [method for method, _, _ in network.requests] == ["PUT"]


def test_what_is_new_goes_block_by_block_to_who_takes_no_car(ours: EmbeddedStore) -> None:
    def old(request: httpx.Request) -> httpx.Response:
        return httpx.Response(400 if "car" in request.headers["content-type"] else 201)

    network = Network(peer=old)
    assert network.fetcher(ours).push(put_model(ours), "http://peer", is_new=True) == 2
    assert len(network.requests) == 3


def test_what_is_new_and_large_goes_block_by_block(ours: EmbeddedStore) -> None:
    network = Network(peer=lambda _: httpx.Response(201))
    cid = put_model(ours, bytes(2**20) + bytes([1]) * 2**20 + b"tail")
    assert network.fetcher(ours).push(cid, "http://peer", is_new=True) == 5
    assert len(network.requests) == 5
