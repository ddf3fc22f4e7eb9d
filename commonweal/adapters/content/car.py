"""CAR version 1: a graph's blocks as one stream, depth first, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import libipld

from commonweal.adapters.content.dags import list_links, walk
from commonweal.adapters.content.store import ContentNotFound, ContentStore
from commonweal.adapters.content.wire import encode_varint
from commonweal.protocol.cids import Cid

Links = Callable[[Cid, bytes], list[Cid]]


def choose_links(scope: str) -> Links:
    """What `dag-scope` block, entity or all follows. An entity is a file; a manifest is itself."""
    if scope == "block":
        return lambda cid, block: []
    if scope == "entity":
        return lambda cid, block: list_links(cid, block) if cid.codec == "dag-pb" else []
    return list_links


def stream_car(store: ContentStore, root: Cid, links: Links) -> Iterator[bytes]:
    """Memory is O(block) plus the CIDs seen.

    A manifest that another one names (`parent`, `base`) and that is not held here is left out. Any
    other missing block ends the stream with ContentNotFound, so that nobody takes it for complete.
    """
    yield _frame(bytes(libipld.encode_dag_cbor({"roots": [root.binary], "version": 1})))
    nodes: dict[Cid, bytes] = {}

    def read_links(cid: Cid) -> list[Cid]:
        return links(cid, nodes.pop(cid)) if cid in nodes else []

    for cid in walk(root, read_links):
        block = _read_linked(store, cid, root)
        if block is not None:
            yield _frame(cid.binary + block)
            if cid.codec != "raw":
                nodes[cid] = block


def _read_linked(store: ContentStore, cid: Cid, root: Cid) -> bytes | None:
    try:
        return store.get_block(str(cid))
    except ContentNotFound:
        if cid.codec == "dag-cbor" and cid != root:
            return None
        raise


def _frame(section: bytes) -> bytes:
    return encode_varint(len(section)) + section
