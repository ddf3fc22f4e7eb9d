"""UnixFS files as Kubo makes them with --cid-version=1 --raw-leaves --chunker=size-1048576.

Building, and reading strictly: a file node's claims (sizes, depth, number of parts) are checked
against each other before anything below it is read, so that a few bytes cannot cost petabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from commonweal.adapters.content.store import MAX_BLOCK_BYTES, ContentCorrupt, ContentTooLarge
from commonweal.adapters.content.wire import encode_bytes, encode_varint, parse_fields
from commonweal.protocol.cids import Cid, InvalidCid, compute_cid, parse_binary_cid

CHUNK_BYTES = 2**20
FANOUT = 174
MAX_NODE_BYTES = 128 * 2**10
MAX_DEPTH = 8
_SMALLEST_AVERAGE_PART = 16 * 2**10
_SPARE_PARTS = 64
_FILE = 2


@dataclass(frozen=True, slots=True)
class Child:
    cid: Cid
    size: int  # bytes of the file below it
    total: int  # with all blocks' framing (Tsize)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a file, in order. `size` is what its parent declared; None for the root."""

    cid: Cid
    size: int | None

    @property
    def is_leaf(self) -> bool:
        return self.cid.codec == "raw"


def encode_file_node(children: Sequence[Child]) -> bytes:
    """The one dag-pb encoding: links first, then the UnixFS data."""
    sizes = b"".join(encode_varint(4 << 3) + encode_varint(child.size) for child in children)
    filesize = encode_varint(3 << 3) + encode_varint(sum(child.size for child in children))
    data = encode_varint(1 << 3) + encode_varint(_FILE) + filesize + sizes
    links = b"".join(encode_bytes(2, _encode_link(child)) for child in children)
    return links + encode_bytes(1, data)


def _encode_link(child: Child) -> bytes:
    tsize = encode_varint(3 << 3) + encode_varint(child.total)
    return encode_bytes(1, child.cid.binary) + encode_bytes(2, b"") + tsize


def decode_file_node(cid: Cid, block: bytes) -> tuple[Child, ...]:
    """Raises ContentCorrupt for all but the canonical encoding of a file without inline data."""
    try:
        children = _parse_file_node(block)
    except (ValueError, InvalidCid) as error:
        raise ContentCorrupt(
            f"{cid} is not a file node", cid=str(cid), reason=str(error)
        ) from error
    if encode_file_node(children) != block:
        raise ContentCorrupt(f"{cid} is not a raw-leaves file node", cid=str(cid))
    return children


def _parse_file_node(block: bytes) -> tuple[Child, ...]:
    fields = list(parse_fields(block))
    links = [dict(parse_fields(_bytes(value))) for number, value in fields if number == 2]
    data = [value for number, value in fields if number == 1]
    if len(data) != 1:
        raise ValueError("not one data field")
    sizes = [_int(value) for number, value in parse_fields(_bytes(data[0])) if number == 4]
    return tuple(
        Child(parse_binary_cid(_bytes(link.get(1))), size, _int(link.get(3)))
        for link, size in zip(links, sizes, strict=True)
    )


def _bytes(value: int | bytes | None) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a field has the wrong type")
    return value


def _int(value: int | bytes | None) -> int:
    if not isinstance(value, int):
        raise ValueError("a field has the wrong type")
    return value


def build_file(
    data: bytes | BinaryIO, emit: Callable[[Cid, bytes], None], *, chunk_bytes: int = CHUNK_BYTES
) -> Cid:
    """Gives every block of the file to `emit`, children first; memory is O(chunk)."""
    levels: list[list[Child]] = [[]]
    for chunk in _read_chunks(data, chunk_bytes):
        cid = compute_cid(chunk, "raw")
        emit(cid, chunk)
        _append(levels, 0, Child(cid, len(chunk), len(chunk)), emit)
    level = 0
    while level < len(levels) - 1 or len(levels[level]) > 1:
        _close(levels, level, emit)  # may open the level above
        level += 1
    return levels[level][0].cid


def file_cid(data: bytes) -> str:
    """The one CID that the protocol has for a file of these bytes."""
    return str(build_file(data, lambda _cid, _block: None))


def _append(
    levels: list[list[Child]], level: int, child: Child, emit: Callable[[Cid, bytes], None]
) -> None:
    if level == len(levels):
        levels.append([])
    if len(levels[level]) == FANOUT:
        _close(levels, level, emit)
    levels[level].append(child)


def _close(levels: list[list[Child]], level: int, emit: Callable[[Cid, bytes], None]) -> None:
    children, levels[level] = levels[level], []
    block = encode_file_node(children)
    cid = compute_cid(block, "dag-pb")
    emit(cid, block)
    total = len(block) + sum(child.total for child in children)
    node = Child(cid, sum(child.size for child in children), total)
    _append(levels, level + 1, node, emit)


def _read_chunks(data: bytes | BinaryIO, size: int) -> Iterator[bytes]:
    """Whole chunks even from a stream that gives less than is asked; one empty one if empty."""
    stream = BytesIO(data) if isinstance(data, bytes) else data
    chunk = _read_full(stream, size)
    yield chunk
    while len(chunk) == size:
        chunk = _read_full(stream, size)
        if chunk:
            yield chunk


def _read_full(stream: BinaryIO, size: int) -> bytes:
    chunk = bytearray()
    while len(chunk) < size and (more := stream.read(size - len(chunk))):
        chunk += more
    return bytes(chunk)


def list_leaves(
    root: Cid, read_nodes: Callable[[Sequence[Cid]], Mapping[Cid, bytes]], max_bytes: int
) -> list[Part]:
    """The file's leaves in order, level by level; `read_nodes` gives verified blocks.

    Raises ContentTooLarge above `max_bytes` or for too many parts, ContentCorrupt for claims that
    contradict each other and for too deep a nesting. All before a leaf is read.
    """
    parts = [Part(root, None)]
    for depth in range(MAX_DEPTH + 1):
        nodes = [part for part in parts if not part.is_leaf]
        if not nodes:
            return parts
        if depth == MAX_DEPTH:
            break
        blocks = read_nodes(list(dict.fromkeys(node.cid for node in nodes)))
        children = {cid: decode_file_node(cid, block) for cid, block in blocks.items()}
        parts = list(_expand(parts, children, max_bytes))
    raise ContentCorrupt(
        f"{root} nests deeper than {MAX_DEPTH} levels", cid=str(root), most=MAX_DEPTH
    )


def _expand(
    parts: Iterable[Part], children: Mapping[Cid, tuple[Child, ...]], max_bytes: int
) -> Iterator[Part]:
    most = _SPARE_PARTS + max_bytes // _SMALLEST_AVERAGE_PART
    seen = 0
    for part in parts:
        if part.is_leaf:
            expanded = [part]
        else:
            _check_claims(part, children[part.cid], max_bytes)
            expanded = [Part(child.cid, child.size) for child in children[part.cid]]
        seen += len(expanded)
        if seen > most:
            raise ContentTooLarge(
                f"A file of at most {max_bytes} bytes has at most {most} parts",
                parts=seen,
                most=most,
                limit=max_bytes,
            )
        yield from expanded


def _check_claims(part: Part, children: Sequence[Child], max_bytes: int) -> None:
    cid, size = str(part.cid), sum(child.size for child in children)
    if size > max_bytes:
        raise ContentTooLarge(f"{cid} has {size} bytes", cid=cid, size=size, limit=max_bytes)
    if part.size is not None and size != part.size:
        raise ContentCorrupt(
            f"{cid} has {size} bytes where {part.size} were declared", have=size, want=part.size
        )
    for child in children:
        # An empty child costs nothing in declared size: a tree of them could grow without bound.
        if child.size == 0 or (child.cid.codec == "raw" and child.size > MAX_BLOCK_BYTES):
            raise ContentCorrupt(f"{cid} declares a part of {child.size} bytes", size=child.size)
        if child.cid.codec == "dag-cbor":
            raise ContentCorrupt(f"{cid} has a part that is no file", part=str(child.cid))


def check_leaf(part: Part, block: bytes) -> bytes:
    if part.size is not None and len(block) != part.size:
        raise ContentCorrupt(
            f"{part.cid} has {len(block)} bytes where {part.size} were declared",
            have=len(block),
            want=part.size,
        )
    return block


def read_file(root: Cid, read: Callable[[Cid, int], bytes], max_bytes: int) -> bytes:
    """`read(cid, limit)` gives one verified block; a dag-cbor root is its own block."""
    if root.codec != "dag-pb":
        return read(root, max_bytes)

    def read_nodes(cids: Sequence[Cid]) -> dict[Cid, bytes]:
        return {cid: read(cid, MAX_NODE_BYTES) for cid in cids}

    leaves = list_leaves(root, read_nodes, max_bytes)
    return b"".join(check_leaf(leaf, read(leaf.cid, MAX_BLOCK_BYTES)) for leaf in leaves)
