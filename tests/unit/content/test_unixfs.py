"""CIDs equal to an independent importer's, and files that lie about themselves."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from content_samples import PatternStream, file_node, pattern
from hypothesis import given, settings
from hypothesis import strategies as st

from commonweal.adapters.content.store import ContentCorrupt, ContentTooLarge
from commonweal.adapters.content.unixfs import (
    CHUNK_BYTES,
    Child,
    build_file,
    decode_file_node,
    encode_file_node,
    list_leaves,
    read_file,
)
from commonweal.protocol.cids import Cid, compute_cid

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "cids.json").read_text())
LEAF = b"leaf"
LEAF_CID = compute_cid(LEAF, "raw")


def _ignore(cid: Cid, block: bytes) -> None:
    pass


@pytest.mark.parametrize("vector", VECTORS["files"], ids=lambda vector: vector["size"])
def test_cid_equals_that_of_an_independent_importer(vector: dict[str, object]) -> None:
    assert str(build_file(PatternStream(vector["size"]), _ignore)) == vector["cid"]


@pytest.mark.parametrize("vector", VECTORS["small_chunks"], ids=lambda vector: vector["size"])
def test_three_levels_of_nodes(vector: dict[str, object]) -> None:
    stream = PatternStream(vector["size"])
    assert str(build_file(stream, _ignore, chunk_bytes=vector["chunk"])) == vector["cid"]


def test_vectors_tell_contents_apart() -> None:
    assert str(build_file(pattern(CHUNK_BYTES)[:-1] + b"x", _ignore)) != VECTORS["files"][3]["cid"]


def test_building_holds_a_few_chunks_at_most() -> None:
    stream = PatternStream(24 * CHUNK_BYTES)
    tracemalloc.start()
    try:
        build_file(stream, _ignore)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * CHUNK_BYTES
    assert stream.largest_read <= CHUNK_BYTES


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=3000), st.integers(1, 40))
def test_what_is_built_is_read_back(data: bytes, chunk: int) -> None:
    blocks: dict[Cid, bytes] = {}
    root = build_file(data, blocks.__setitem__, chunk_bytes=chunk)
    limit = len(data) + CHUNK_BYTES * 64  # small chunks: many parts
    assert read_file(root, lambda cid, _: blocks[cid], limit) == data


def test_a_node_decodes_to_what_it_was_made_from() -> None:
    children = (Child(LEAF_CID, 4, 4), Child(compute_cid(b"", "dag-pb"), 300, 999))
    block = encode_file_node(children)
    assert decode_file_node(compute_cid(block, "dag-pb"), block) == children


def _list(root_block: bytes, blocks: Mapping[Cid, bytes], max_bytes: int) -> list[object]:
    root = compute_cid(root_block, "dag-pb")
    known = {root: root_block, **blocks}

    def read(cids: Sequence[Cid]) -> dict[Cid, bytes]:
        return {cid: known[cid] for cid in cids}

    return list_leaves(root, read, max_bytes)


def test_petabytes_are_refused_from_the_root_alone() -> None:
    with pytest.raises(ContentTooLarge) as caught:
        _list(file_node([(compute_cid(b"", "dag-pb"), 10**16)]), {}, 2**20)
    assert (caught.value.details["size"], caught.value.details["limit"]) == (10**16, 2**20)


def test_a_tiny_graph_of_millions_of_parts_is_refused() -> None:
    """Each node links 174 times to the one below: 174**3 leaves from three small blocks."""
    blocks, below, size = {LEAF_CID: LEAF}, LEAF_CID, 4
    for _ in range(3):
        node = file_node([(below, size)] * 174)
        below, size = compute_cid(node, "dag-pb"), size * 174
        blocks[below] = node
    with pytest.raises(ContentTooLarge) as caught:
        _list(blocks[below], blocks, 2**28)
    assert caught.value.details["parts"] > caught.value.details["most"] == 64 + 2**28 // 2**14


def test_huge_fan_out_of_small_parts_is_refused_with_numbers() -> None:
    node = file_node([(LEAF_CID, 4)] * 174)
    cid = compute_cid(node, "dag-pb")
    root = file_node([(cid, 174 * 4)] * 174)
    with pytest.raises(ContentTooLarge) as caught:
        _list(root, {cid: node}, 2**20)
    assert caught.value.details["parts"] > caught.value.details["most"] == 64 + 2**20 // 2**14


def test_deep_nesting_is_refused_with_numbers() -> None:
    blocks, below = {}, LEAF_CID
    for _ in range(9):
        node = file_node([(below, 4)])
        below = compute_cid(node, "dag-pb")
        blocks[below] = node
    with pytest.raises(ContentCorrupt) as caught:
        _list(blocks[below], blocks, 2**20)
    assert caught.value.details["most"] == 8


def test_empty_parts_are_refused() -> None:
    with pytest.raises(ContentCorrupt, match="a part of 0 bytes"):
        _list(file_node([(compute_cid(b"", "dag-pb"), 0)] * 3), {}, 2**20)


def test_parts_larger_than_a_block_are_refused() -> None:
    with pytest.raises(ContentCorrupt, match="declares a part"):
        _list(file_node([(LEAF_CID, 2**21 + 1)]), {}, 2**30)


def test_a_child_must_be_as_large_as_its_parent_says() -> None:
    node = file_node([(LEAF_CID, 4)])
    with pytest.raises(ContentCorrupt, match="4 bytes where 5 were declared"):
        _list(
            file_node([(compute_cid(node, "dag-pb"), 5)]), {compute_cid(node, "dag-pb"): node}, 99
        )


def test_a_leaf_must_be_as_large_as_its_parent_says() -> None:
    node = file_node([(LEAF_CID, 5)])
    blocks = {LEAF_CID: LEAF, compute_cid(node, "dag-pb"): node}
    with pytest.raises(ContentCorrupt, match="4 bytes where 5 were declared"):
        read_file(compute_cid(node, "dag-pb"), lambda cid, _: blocks[cid], 99)


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"\xff" * 20,
        b"\x0a\x02\x08\x01",  # a directory
        b"\x0a\x06\x08\x02\x12\x02hi",  # inline data, cut off
        file_node([(LEAF_CID, 4)], filesize=5),  # the sum is wrong
        file_node([(LEAF_CID, 4)]) + b"\x18\x01",  # something after it
        file_node([(LEAF_CID, 4)])[:-2],  # cut off
    ],
    ids=["empty", "noise", "directory", "inline", "wrong-sum", "trailing", "cut-off"],
)
def test_nodes_that_are_no_raw_leaves_file_are_refused(block: bytes) -> None:
    with pytest.raises(ContentCorrupt):
        decode_file_node(compute_cid(block, "dag-pb"), block)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_refused_in_order(block: bytes) -> None:
    with pytest.raises(ContentCorrupt):
        decode_file_node(compute_cid(block, "dag-pb"), block)


def test_a_manifest_is_no_part_of_a_file() -> None:
    with pytest.raises(ContentCorrupt, match="no file"):
        _list(file_node([(compute_cid(b"\xa0", "dag-cbor"), 4)]), {}, 99)
