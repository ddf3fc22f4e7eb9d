"""The gateway and the upload route on a real server, to the Trustless Gateway specification."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import httpx
import libipld
import pytest
import uvicorn
from fastapi import FastAPI

from commonweal.adapters.content.car import stream_held
from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.fetching import ContentFetcher
from commonweal.adapters.content.gateway import gateway_routes, upload_routes
from commonweal.protocol.cids import compute_cid, parse_cid
from commonweal.protocol.manifests import ModelManifest, encode_manifest

ABSENT = compute_cid(b"absent", "raw")
DATA = bytes(range(256)) * 4096 * 3 + b"tail"
LIMIT = 6 * 2**20


@dataclass(frozen=True)
class Peer:
    store: EmbeddedStore
    url: str
    client: httpx.Client

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.client.get(path, headers=headers)


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    store = EmbeddedStore(tmp_path / "peer", max_bytes=LIMIT)
    app = FastAPI()
    app.include_router(gateway_routes(store))
    app.include_router(upload_routes(store, upload_seconds=0.5))
    assert app.openapi()["paths"].keys() == {"/ipfs/{cid}", "/v1/blocks/{cid}"}
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        with httpx.Client(base_url=url, trust_env=False) as client:
            yield Peer(store, url, client)
        server.should_exit = True
        thread.join()


def test_a_block(peer: Peer) -> None:
    cid = peer.store.put(b"hello")
    answer = peer.get(f"/ipfs/{cid}?format=raw")
    assert (answer.status_code, answer.content) == (200, b"hello")
    assert answer.headers["content-type"] == "application/vnd.ipld.raw"
    assert answer.headers["etag"] == f'"{cid}.raw"'
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"] == f'attachment; filename="{cid}.bin"'
    by_header = peer.get(f"/ipfs/{cid}", Accept="application/vnd.ipld.raw")
    assert by_header.content == b"hello"


def test_head_says_the_same_without_the_body(peer: Peer) -> None:
    cid = peer.store.put(b"hello")
    for format_ in ("raw", "car"):
        got = peer.get(f"/ipfs/{cid}?format={format_}")
        head = peer.client.head(f"/ipfs/{cid}?format={format_}")
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-type", "etag", "cache-control"):
            assert head.headers[name] == got.headers[name]
    assert peer.client.head(f"/ipfs/{compute_cid(b'x', 'raw')}?format=raw").status_code == 404


def _read_car(data: bytes) -> tuple[dict[str, object], list[bytes]]:
    """(header, block CIDs in order); every block is hashed."""
    sections, at = [], 0
    while at < len(data):
        size, shift = 0, 0
        while True:
            byte, at = data[at], at + 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        sections.append(data[at : at + size])
        at += size
    for section in sections[1:]:
        assert section[4:36] == sha256(section[36:]).digest()
    return libipld.decode_dag_cbor(sections[0]), [section[:36] for section in sections[1:]]


def test_a_car_is_depth_first_with_each_block_once(peer: Peer) -> None:
    weights = peer.store.put(DATA)
    model = peer.store.put_block(encode_manifest(ModelManifest(weights=weights)))
    answer = peer.get(f"/ipfs/{model}?format=car")
    assert answer.headers["content-type"] == (
        "application/vnd.ipld.car; version=1; order=dfs; dups=n"
    )
    header, cids = _read_car(answer.content)
    first, last = compute_cid(DATA[: 2**20], "raw"), compute_cid(b"tail", "raw")
    roots = [libipld.encode_cid(cid) for cid in cids]
    assert header["version"] == 1
    assert roots == [model, weights, str(first), str(last)]  # three equal chunks are one block


@pytest.mark.parametrize(
    ("scope", "blocks"), [("block", 1), ("entity", 1), ("all", 4), ("held", 4)]
)
def test_the_scope_of_a_car(peer: Peer, scope: str, blocks: int) -> None:
    weights = peer.store.put(DATA)
    model = peer.store.put_block(encode_manifest(ModelManifest(weights=weights)))
    answer = peer.get(f"/ipfs/{model}?format=car&dag-scope={scope}")
    assert len(_read_car(answer.content)[1]) == blocks
    assert scope in answer.headers["etag"]


def test_a_parent_that_is_not_held_is_left_out_of_a_car(peer: Peer) -> None:
    nowhere = str(compute_cid(b"\xa1", "dag-cbor"))
    model = ModelManifest(
        weights=peer.store.put(b"w"), parent=nowhere, job=1, round=1, contributors=b"c" * 32
    )
    cid = peer.store.put_block(encode_manifest(model))
    assert len(_read_car(peer.get(f"/ipfs/{cid}?format=car").content)[1]) == 2


def test_what_is_held_is_all_but_the_history(peer: Peer) -> None:
    parent = peer.store.put_block(encode_manifest(ModelManifest(weights=peer.store.put(b"old"))))
    weights = peer.store.put(b"new")
    model = ModelManifest(weights=weights, parent=parent, job=1, round=1, contributors=b"c" * 32)
    cid = peer.store.put_block(encode_manifest(model))
    held = _read_car(peer.get(f"/ipfs/{cid}?format=car&dag-scope=held").content)[1]
    assert [libipld.encode_cid(each) for each in held] == [cid, weights]
    assert len(_read_car(peer.get(f"/ipfs/{cid}?format=car").content)[1]) == 4


def test_several_held_come_at_once_but_for_those_that_are_not_here(peer: Peer) -> None:
    weights = [peer.store.put(data) for data in (b"one", b"two", DATA)]
    cids = [peer.store.put_block(encode_manifest(ModelManifest(weights=w))) for w in weights]
    peer.store._blocks.path_of(compute_cid(b"tail", "raw")).unlink()
    nowhere = compute_cid(b"\xa1", "dag-cbor")
    path = f"/ipfs/{nowhere}?format=car&dag-scope=held" + "".join(f"&also={cid}" for cid in cids)
    answer = peer.get(path)
    held = [libipld.encode_cid(each) for each in _read_car(answer.content)[1]]
    assert held == [cids[0], weights[0], cids[1], weights[1]]
    assert answer.headers["cache-control"] == "no-store"


def test_of_a_small_graph_with_a_missing_leaf_nothing_is_sent(peer: Peer) -> None:
    cid = peer.store.put(DATA)
    peer.store._blocks.path_of(compute_cid(b"tail", "raw")).unlink()
    assert peer.get(f"/ipfs/{cid}?format=car").status_code == 404


def test_a_car_with_a_missing_leaf_breaks_off(peer: Peer) -> None:
    large = b"".join(bytes([each]) * 2**20 for each in range(5)) + b"tail"
    cid = peer.store.put(large)
    peer.store._blocks.path_of(compute_cid(b"tail", "raw")).unlink()
    with pytest.raises(httpx.RemoteProtocolError):
        peer.get(f"/ipfs/{cid}?format=car")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/ipfs/nonsense?format=raw", 400, "invalid-cid"),
        (f"/ipfs/{compute_cid(b'absent', 'raw')}?format=raw", 404, "content-not-found"),
        (f"/ipfs/{compute_cid(b'absent', 'raw')}?format=car", 404, "content-not-found"),
        (f"/ipfs/{compute_cid(b'absent', 'raw')}", 400, "format-missing"),
        (f"/ipfs/{compute_cid(b'absent', 'raw')}?format=tar", 406, "format-unknown"),
        (f"/ipfs/{compute_cid(b'x', 'raw')}?format=car&dag-scope=no", 400, "invalid-input"),
        ("/ipfs/nonsense?format=car&dag-scope=held&also=x", 400, "invalid-cid"),
        (f"/ipfs/{ABSENT}?format=car&also=x", 400, "invalid-input"),
        (f"/ipfs/{ABSENT}?format=raw&dag-scope=held&also=x", 400, "invalid-input"),
        (f"/ipfs/{ABSENT}?format=car&dag-scope=held" + "&also=x" * 64, 400, "invalid-input"),
    ],
)
def test_refusals_are_problems(peer: Peer, path: str, status: int, code: str) -> None:
    answer = peer.get(path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_probe_and_the_unchanged(peer: Peer) -> None:
    assert peer.client.head("/ipfs/bafkqaaa?format=raw").status_code == 200
    cid = peer.store.put(b"x")
    again = peer.get(f"/ipfs/{cid}?format=raw", **{"If-None-Match": f'"{cid}.raw"'})
    assert (again.status_code, again.content) == (304, b"")


def test_an_upload_is_verified(peer: Peer) -> None:
    cid = compute_cid(b"block", "raw")
    assert peer.client.put(f"/v1/blocks/{cid}", content=b"other").status_code == 400
    assert not peer.store.has(str(cid))
    assert peer.client.put(f"/v1/blocks/{cid}", content=b"block").status_code == 201
    assert peer.client.put(f"/v1/blocks/{cid}", content=b"block").status_code == 200
    assert peer.client.put("/v1/blocks/nonsense", content=b"block").status_code == 400


def test_what_a_pin_holds_is_taken_as_car(peer: Peer, tmp_path: Path) -> None:
    mine = EmbeddedStore(tmp_path / "mine")
    cid = mine.put_block(encode_manifest(ModelManifest(weights=mine.put(DATA[: 2**20] + b"end"))))
    car = b"".join(stream_held(mine, [parse_cid(cid)]))

    def put(body: bytes, to: str = cid) -> int:
        kind = {"Content-Type": "application/vnd.ipld.car; version=1"}
        return peer.client.put(f"/v1/blocks/{to}", content=body, headers=kind).status_code

    foreign = list(stream_held(mine, [parse_cid(mine.put(b"not held"))]))[1]
    for lie in (b"", b"lies", car[:-1], car[:-1] + b"!", car + foreign):
        assert put(lie) == 400
    assert put(car, str(ABSENT)) == 400
    assert not peer.store.has(cid)
    junk = mine.put(b"what nobody asked for")
    forged = mine.put_block(encode_manifest(ModelManifest(weights=junk)))
    swapped = b"".join(stream_held(mine, [parse_cid(forged)]))
    swapped = swapped.replace(parse_cid(forged).binary, parse_cid(cid).binary)
    assert put(swapped) == 400
    assert not peer.store.has(junk)
    assert (put(car), put(car)) == (201, 200)
    assert peer.store.has(cid)


def test_an_upload_is_bounded_by_what_arrives(peer: Peer) -> None:
    cid = compute_cid(b"block", "raw")

    def chunks() -> Iterator[bytes]:  # no Content-Length
        for _ in range(40):
            yield bytes(2**16)

    answer = peer.client.put(f"/v1/blocks/{cid}", content=chunks())
    assert (answer.status_code, answer.json()["limit"]) == (413, 2**21)
    declared = peer.client.put(f"/v1/blocks/{cid}", content=bytes(2**21 + 1))
    assert (declared.status_code, declared.json()["size"]) == (413, 2**21 + 1)


def test_an_upload_that_never_ends_is_given_up(peer: Peer) -> None:
    host, port = peer.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        path = f"/v1/blocks/{compute_cid(b'block', 'raw')}"
        head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nblo"
        connection.sendall(head.encode())
        assert b" 408 " in connection.recv(1000)


def test_a_full_store_says_so(peer: Peer) -> None:
    peer.store.put(bytes(2**20) + bytes([1]) * 2**20 + bytes([2]) * (LIMIT - 2 * 2**20 - 4000))
    statuses = []
    for index in range(4, 8):
        block = bytes([index]) * 2**20
        answer = peer.client.put(f"/v1/blocks/{compute_cid(block, 'raw')}", content=block)
        statuses.append(answer.status_code)
    assert statuses[-1] == 507
    assert answer.json()["limit"] == LIMIT


def test_pushed_and_fetched_between_real_stores(peer: Peer, tmp_path: Path) -> None:
    ours = EmbeddedStore(tmp_path / "ours")
    cid = ours.put_block(encode_manifest(ModelManifest(weights=(weights := ours.put(DATA)))))
    fetcher = ContentFetcher(ours, list)
    assert fetcher.push(cid, peer.url) == 4
    assert fetcher.push(cid, peer.url) == 0
    fetcher.close()
    reader = ContentFetcher(EmbeddedStore(tmp_path / "reader"), lambda: [peer.url])
    assert reader.fetch(weights, max_bytes=len(DATA)) == DATA
    reader.close()
