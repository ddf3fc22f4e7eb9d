"""CAR version 1: a graph's blocks as one stream, depth first, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import libipld

from commonweal.adapters.content.dags import list_held, list_links, walk
from commonweal.adapters.content.store import ContentCorrupt, ContentNotFound, ContentStore
from commonweal.adapters.content.wire import decode_varint, encode_varint
from commonweal.protocol.cids import Cid, parse_binary_cid

_CID_BYTES = 36  # of version 1 with a whole sha2-256
Links = Callable[[Cid, bytes], list[Cid]]


def choose_links(scope: str) -> Links:
    """What `dag-scope` block, entity or all follows. An entity is a file; a manifest is itself.

    `held` is not IPFS's: what a pin holds, an update or a model without its history.
    """
    if scope == "block":
        return lambda cid, block: []
    if scope == "entity":
        return lambda cid, block: list_links(cid, block) if cid.codec == "dag-pb" else []
    return list_held if scope == "held" else list_links


def read_car(data: bytes) -> Iterator[tuple[Cid, bytes]]:
    """The blocks, as they come and unverified. Raises ContentCorrupt, InvalidCid."""
    sections = _split(data)
    next(sections, None)  # the header: its roots are what was asked for, or nobody believes them
    for section in sections:
        cid = parse_binary_cid(section[:_CID_BYTES])
        yield cid, section[_CID_BYTES:]


def _split(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        try:
            size, at = decode_varint(data, at)
        except ValueError as error:
            raise ContentCorrupt(f"not a CAR: {error}", at=at) from error
        if at + size > len(data):
            raise ContentCorrupt("a CAR is cut off", at=at, size=size, have=len(data) - at)
        yield data[at : at + size]
        at += size


def stream_car(store: ContentStore, root: Cid, links: Links) -> Iterator[bytes]:
    """Memory is O(block) plus the CIDs seen.

    A manifest that another one names (`parent`, `base`) and that is not held here is left out. Any
    other missing block ends the stream with ContentNotFound, so that nobody takes it for complete.
    """
    yield _frame_header([root])
    nodes: dict[Cid, bytes] = {}

    def read_links(cid: Cid) -> list[Cid]:
        return links(cid, nodes.pop(cid)) if cid in nodes else []

    for cid in walk(root, read_links):
        block = _read_linked(store, cid, root)
        if block is not None:
            yield _frame(cid.binary + block)
            if cid.codec != "raw":
                nodes[cid] = block


def stream_held(store: ContentStore, roots: Sequence[Cid]) -> Iterator[bytes]:
    """What pins of `roots` hold, of those that are here whole; the others are left out."""
    yield _frame_header(roots)
    for root in roots:
        if store.has(str(root)):
            yield from islice(stream_car(store, root, list_held), 1, None)


def _frame_header(roots: Sequence[Cid]) -> bytes:
    header = {"roots": [root.binary for root in roots], "version": 1}
    return _frame(bytes(libipld.encode_dag_cbor(header)))


def _read_linked(store: ContentStore, cid: Cid, root: Cid) -> bytes | None:
    try:
        return store.get_block(str(cid))
    except ContentNotFound:
        if cid.codec == "dag-cbor" and cid != root:
            return None
        raise


def _frame(section: bytes) -> bytes:
    return encode_varint(len(section)) + section
