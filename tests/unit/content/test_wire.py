"""Links in DAG-CBOR are found exactly, and broken encodings are refused."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator

import libipld
import pytest
from content_samples import file_node
from hypothesis import given
from hypothesis import strategies as st

from commonweal.adapters.content.dags import (
    MAX_LINKS,
    list_held,
    list_links,
    walk,
    walk_up,
)
from commonweal.adapters.content.store import ContentCorrupt
from commonweal.adapters.content.wire import decode_varint, encode_varint, find_cbor_links
from commonweal.protocol.cids import Cid, Codec, compute_cid

A, B = compute_cid(b"a", "raw"), compute_cid(b"b", "dag-cbor")


@given(st.integers(0, 2**63 - 1))
def test_varints_round_trip(value: int) -> None:
    encoded = encode_varint(value)
    assert decode_varint(encoded + b"x", 0) == (value, len(encoded))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\x00", b"\xff" * 10])
def test_broken_varints_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="varint"):
        decode_varint(data, 0)


def test_links_are_found_wherever_they_stand() -> None:
    block = libipld.encode_dag_cbor(
        {"x": [1.5, None, {"deep": A.binary}], "n": -(2**40), "b": B.binary, "t": "text" * 99}
    )
    cid = compute_cid(block, "dag-cbor")
    assert set(list_links(cid, block)) == {A, B}
    assert list_held(cid, block) == [A]


def test_a_byte_string_that_looks_like_a_link_is_none() -> None:
    block = b"\xa1\x61b\x58\x24" + A.binary
    assert list(find_cbor_links(block)) == []


@pytest.mark.parametrize(
    "block",
    [
        b"\x58\x24ab",  # a string cut off
        b"\xd8\x2a",  # a tag without its link
        b"\xd8\x2a\x01",  # a number as link
        b"\xd8\x2a\x42\x01\x02",  # no identity prefix
        b"\x9f\xff",  # indefinite length
        b"\x1b\x00",  # a header cut off
    ],
)
def test_broken_links_are_refused(block: bytes) -> None:
    with pytest.raises(ContentCorrupt):
        list_links(compute_cid(block, "dag-cbor"), block)


@pytest.mark.parametrize("codec", ["dag-pb", "dag-cbor"])
def test_the_links_of_a_block_are_bounded(codec: Codec) -> None:
    def encode(count: int) -> bytes:
        if codec == "dag-pb":
            return file_node([(A, 1)] * count)
        return bytes(libipld.encode_dag_cbor([A.binary] * count))

    most, more = encode(MAX_LINKS), encode(MAX_LINKS + 1)
    assert list_links(compute_cid(most, codec), most) == [A] * MAX_LINKS
    with pytest.raises(ContentCorrupt, match="has more than 1024 links"):
        list_links(compute_cid(more, codec), more)


def measure_memory(run: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_block_of_nothing_but_links_costs_no_memory() -> None:
    block = file_node([(A, 1)] * 20_000)
    cid = compute_cid(block, "dag-pb")

    def read() -> None:
        with pytest.raises(ContentCorrupt):
            list_links(cid, block)

    assert measure_memory(read) < 2**20


@pytest.mark.parametrize("go", [walk, walk_up])
def test_a_walk_remembers_a_link_once_however_often_it_stands_there(
    go: Callable[[Cid, Callable[[Cid], list[Cid]]], Iterator[Cid]],
) -> None:
    root, links = Cid("dag-pb", bytes(32)), [A] * 100_000
    assert measure_memory(lambda: list(go(root, lambda _: links))) < 2**16


def test_walks_visit_each_block_once_in_their_order() -> None:
    node = {name: Cid("dag-pb", bytes([index]) * 32) for index, name in enumerate("rabc")}
    links = {"r": "ab", "a": "bc", "b": "c", "c": ""}
    names = {cid: name for name, cid in node.items()}

    def read(cid: Cid) -> list[Cid]:
        return [node[name] for name in links[names[cid]]]

    assert "".join(names[cid] for cid in walk(node["r"], read)) == "rabc"
    assert "".join(names[cid] for cid in walk_up(node["r"], read)) == "cbar"
