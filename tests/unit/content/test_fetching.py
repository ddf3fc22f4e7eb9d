"""Fetching from sources that lie, stall or vanish. The transport is swapped, the rest is real."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from content_samples import file_node, pattern
from content_sources import Network, honest

from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.fetching import ContentFetcher
from commonweal.adapters.content.store import ContentNotFound, ContentTooLarge, StoreFull
from commonweal.adapters.content.unixfs import CHUNK_BYTES
from commonweal.coordinator_errors import CoordinatorError
from commonweal.errors import Unavailable
from commonweal.protocol.cids import compute_cid
from commonweal.protocol.manifests import (
    InvalidManifest,
    ModelManifest,
    compute_digest,
    digest_of_cid,
    encode_manifest,
)

DATA = pattern(3 * CHUNK_BYTES + 5)


def dead(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


def lying(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, stream=httpx.ByteStream(b"lies"))


class _Flood(httpx.SyncByteStream):
    def __init__(self) -> None:
        self.sent = 0

    def __iter__(self) -> Iterator[bytes]:
        while self.sent < 2**30:
            self.sent += 65_536
            yield bytes(65_536)


def test_bad_sources_are_skipped_and_asked_no_more(
    theirs: EmbeddedStore, ours: EmbeddedStore
) -> None:
    cid = theirs.put(DATA)
    network = Network(lying=lying, dead=dead, honest=honest(theirs))
    assert network.fetcher(ours, attempts=2).fetch(cid, max_bytes=len(DATA)) == DATA
    assert (network.count("lying"), network.count("dead")) == (1, 2)
    assert network.count("honest") == 5


def test_a_fetch_resumes_where_it_broke_off(theirs: EmbeddedStore, ours: EmbeddedStore) -> None:
    cid = theirs.put(DATA)
    served = honest(theirs)
    broken = compute_cid(DATA[2 * CHUNK_BYTES : 3 * CHUNK_BYTES], "raw")

    def failing(request: httpx.Request) -> httpx.Response:
        missing = request.url.path.endswith(str(broken))
        return httpx.Response(404) if missing else served(request)

    first = Network(source=failing)
    with pytest.raises(ContentNotFound) as caught:
        first.fetcher(ours, threads=1).fetch(cid, max_bytes=len(DATA))
    assert caught.value.details["refusals"] == {"http://source": "content-not-found"}
    second = Network(source=served)
    assert second.fetcher(ours).fetch(cid, max_bytes=len(DATA)) == DATA
    already = first.count("source") - 1
    assert second.count("source") == 5 - already <= 3


def test_what_is_in_the_store_is_not_fetched(ours: EmbeddedStore) -> None:
    network = Network(dead=dead)
    assert network.fetcher(ours).fetch(ours.put(DATA), max_bytes=len(DATA)) == DATA
    assert network.requests == []


def test_a_damaged_block_is_fetched_again(theirs: EmbeddedStore, ours: EmbeddedStore) -> None:
    theirs.put(DATA)
    cid = ours.put(DATA)
    ours._blocks.path_of(compute_cid(DATA[:CHUNK_BYTES], "raw")).write_bytes(b"rot")
    network = Network(honest=honest(theirs))
    assert network.fetcher(ours).fetch(cid, max_bytes=len(DATA)) == DATA
    assert network.count("honest") == 1


def test_petabytes_cost_one_small_block(ours: EmbeddedStore, theirs: EmbeddedStore) -> None:
    huge = file_node([(compute_cid(b"", "dag-pb"), 10**16)])
    cid = theirs.put_block(huge, "dag-pb")
    network = Network(source=honest(theirs))
    with pytest.raises(ContentTooLarge) as caught:
        network.fetcher(ours).fetch(cid, max_bytes=2**20)
    assert (caught.value.details["size"], caught.value.details["limit"]) == (10**16, 2**20)
    assert network.count("source") == 1


def test_a_flood_is_cut_off_at_the_limit(ours: EmbeddedStore) -> None:
    flood = _Flood()
    network = Network(source=lambda request: httpx.Response(200, stream=flood))
    with pytest.raises(ContentTooLarge):
        network.fetcher(ours).fetch(str(compute_cid(b"x", "raw")), max_bytes=100_000)
    assert flood.sent <= 200_000


def test_a_dripping_source_is_given_up(theirs: EmbeddedStore, ours: EmbeddedStore) -> None:
    class Drip(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                time.sleep(0.02)
                yield b"x"

    cid = theirs.put(b"content")
    network = Network(
        drip=lambda request: httpx.Response(200, stream=Drip()), honest=honest(theirs)
    )
    fetcher = network.fetcher(ours, block_seconds=1.0, attempts=1)
    assert fetcher.fetch(cid, max_bytes=2**20) == b"content"


def test_a_source_that_failed_is_asked_last_next_time(
    theirs: EmbeddedStore, ours: EmbeddedStore
) -> None:
    first, second = theirs.put(b"one"), theirs.put(b"two")
    network = Network(dead=dead, honest=honest(theirs))
    fetcher = network.fetcher(ours, attempts=1)
    fetcher.fetch(first, max_bytes=3)
    fetcher.fetch(second, max_bytes=3)
    assert network.count("dead") == 1


def test_a_stalling_source_costs_one_wait_and_rests_longer_each_time(
    theirs: EmbeddedStore, ours: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stall(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("nothing came", request=request)

    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    network = Network(stall=stall, honest=honest(theirs))
    fetcher = network.fetcher(ours)
    asked = []
    for seconds in (0, 29, 31, 89, 91):
        now[0] = seconds
        fetcher.fetch(theirs.put(b"%d" % seconds), max_bytes=2)
        asked.append(network.count("stall"))
    assert asked == [1, 1, 2, 2, 3]


def test_a_hiccup_is_retried(theirs: EmbeddedStore, ours: EmbeddedStore) -> None:
    cid, answers = theirs.put(b"x"), iter([503, 200])
    served = honest(theirs)

    def once_busy(request: httpx.Request) -> httpx.Response:
        status = next(answers)
        return served(request) if status == 200 else httpx.Response(status)

    assert Network(source=once_busy).fetcher(ours).fetch(cid, max_bytes=1) == b"x"


def test_no_source_at_all_is_not_found(ours: EmbeddedStore) -> None:
    with pytest.raises(ContentNotFound) as caught:
        Network().fetcher(ours).fetch(str(compute_cid(b"x", "raw")), max_bytes=1)
    assert caught.value.details["sources"] == 0


def test_a_full_store_is_told(theirs: EmbeddedStore, tmp_path: Path) -> None:
    cid = theirs.put(DATA)
    small = EmbeddedStore(tmp_path / "small", max_bytes=CHUNK_BYTES)
    with pytest.raises(StoreFull):
        Network(source=honest(theirs)).fetcher(small).fetch(cid, max_bytes=len(DATA))


def test_a_manifest_is_fetched_and_checked(theirs: EmbeddedStore, ours: EmbeddedStore) -> None:
    model = ModelManifest(weights=theirs.put(b"w"))
    good = digest_of_cid(theirs.put_block(encode_manifest(model)))
    theirs.put_block(b"\xa0")
    fetcher = Network(source=honest(theirs)).fetcher(ours)
    assert fetcher.fetch_manifest(good) == model
    with pytest.raises(InvalidManifest):
        fetcher.fetch_manifest(compute_digest(b"\xa0"))


def test_push_sends_leaves_first_and_only_what_is_lacking(
    theirs: EmbeddedStore, ours: EmbeddedStore
) -> None:
    cid = ours.put_block(encode_manifest(ModelManifest(weights=ours.put(DATA))))
    theirs.put_block(DATA[:CHUNK_BYTES], "raw")
    served = honest(theirs)
    codecs = {0x55: "raw", 0x70: "dag-pb", 0x71: "dag-cbor"}

    def taking(request: httpx.Request) -> httpx.Response:
        if request.method == "HEAD":
            return served(request)
        name = request.url.path.rsplit("/", 1)[1]
        codec = next(codec for codec in codecs.values() if name == str(
            compute_cid(request.content, codec)))  # fmt: skip
        known = theirs.has(name)
        theirs.put_block(request.content, codec)
        return httpx.Response(200 if known else 201)

    network = Network(peer=taking)
    assert network.fetcher(ours).push(cid, "http://peer/") == 5
    puts = [path for method, _, path in network.requests if method == "PUT"]
    assert puts[-1].endswith(cid)
    assert theirs.has(cid)
    assert network.fetcher(ours).push(cid, "http://peer") == 0
    asked = [path for method, _, path in network.requests if method == "HEAD"]
    assert not any(cid in path for path in asked)  # the question would cost as much as the manifest


@pytest.mark.parametrize(("status", "error"), [(507, StoreFull), (403, CoordinatorError)])
def test_a_refused_push_is_told(ours: EmbeddedStore, status: int, error: type[Exception]) -> None:
    def refusing(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404 if request.method == "HEAD" else status)

    with pytest.raises(error):
        Network(peer=refusing).fetcher(ours).push(ours.put(b"x"), "http://peer")


class Badge:
    """A session that ends when `taken` says so."""

    def __init__(self) -> None:
        self.number = 0

    def headers(self, base: str) -> dict[str, str]:
        assert base == "http://peer"
        return {"Authorization": f"Bearer {self.number}"}

    def forget(self, _: str) -> None:
        self.number += 1


def test_a_push_signs_in_again_once_when_its_session_is_not_taken(ours: EmbeddedStore) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "HEAD":
            assert "Authorization" not in request.headers
            return httpx.Response(404)
        return httpx.Response(201 if request.headers["Authorization"] == "Bearer 1" else 401)

    network, badge = Network(peer=answer), Badge()
    fetcher = network.fetcher(ours, authorise=badge)
    assert fetcher.push(ours.put(b"x"), "http://peer/") == 1
    assert [method for method, _, _ in network.requests] == ["HEAD", "PUT", "PUT"]
    badge.number = 5
    with pytest.raises(CoordinatorError):
        fetcher.push(ours.put(b"y"), "http://peer/")
    assert badge.number == 6


def test_a_push_to_nobody_is_unavailable(ours: EmbeddedStore) -> None:
    with pytest.raises(Unavailable):
        Network(peer=dead).fetcher(ours, attempts=1).push(ours.put(b"x"), "http://peer")


@pytest.mark.parametrize(
    "url", ["http://a..b", "http://xn--a", "http://127.0.0.1:99999999999999999999", "http://[zz]"]
)
def test_an_address_that_cannot_be_dialled_is_one_more_source_that_does_not_answer(
    ours: EmbeddedStore, url: str
) -> None:
    cid = ours.put(b"x")
    fetcher = ContentFetcher(ours, lambda: [url], attempts=1)
    missing = compute_cid(b"y", "raw")
    fetcher.fetch_held(str(missing), max_bytes=1)
    with pytest.raises(ContentNotFound) as caught:
        fetcher.fetch(str(missing), max_bytes=1)
    assert caught.value.details["refusals"] == {url: "content-unreachable"}
    with pytest.raises(Unavailable):
        fetcher.push(cid, url)
    fetcher.close()
