"""Walking content graphs: what a block links to, and what a pin holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from commonweal.adapters.content.store import ContentCorrupt
from commonweal.adapters.content.wire import find_cbor_links, parse_fields
from commonweal.protocol.cids import Cid, InvalidCid, parse_binary_cid

MAX_LINKS = 1_024  # of a block: files are built with 174, manifests have a handful


def list_links(cid: Cid, block: bytes) -> list[Cid]:
    """In the block's order.

    Raises ContentCorrupt for more than MAX_LINKS, and if it cannot be read as its codec.
    """
    try:
        links = [parse_binary_cid(link) for link in islice(_find_links(cid, block), MAX_LINKS + 1)]
    except (ValueError, InvalidCid) as error:
        raise ContentCorrupt(
            f"The links of {cid} cannot be read", cid=str(cid), reason=str(error)
        ) from error
    if len(links) > MAX_LINKS:
        message = f"{cid} has more than {MAX_LINKS} links"
        raise ContentCorrupt(message, cid=str(cid), limit=MAX_LINKS)
    return links


def _find_links(cid: Cid, block: bytes) -> Iterator[bytes]:
    if cid.codec == "dag-cbor":
        yield from find_cbor_links(block)
    elif cid.codec == "dag-pb":
        for number, link in parse_fields(block):
            if number == 2 and isinstance(link, bytes):
                yield from (
                    value for n, value in parse_fields(link) if n == 1 and isinstance(value, bytes)
                )


def list_held(cid: Cid, block: bytes) -> list[Cid]:
    """The links that a pin follows: all but those from one manifest to another."""
    links = list_links(cid, block)
    return [link for link in links if (cid.codec, link.codec) != ("dag-cbor", "dag-cbor")]


def walk(root: Cid, links: Callable[[Cid], list[Cid]]) -> Iterator[Cid]:
    """Depth first, parents before children, each once. `links` is not asked for leaves."""
    done: set[Cid] = set()
    todo = [root]
    while todo:
        cid = todo.pop()
        if cid in done:
            continue
        done.add(cid)
        yield cid
        if cid.codec != "raw":
            todo.extend(link for link in reversed(dict.fromkeys(links(cid))) if link not in done)


def walk_up(root: Cid, links: Callable[[Cid], list[Cid]]) -> Iterator[Cid]:
    """Children before parents, each once."""
    done: set[Cid] = set()
    todo = [(root, False)]
    while todo:
        cid, is_expanded = todo.pop()
        if cid in done:
            continue
        if is_expanded or cid.codec == "raw":
            done.add(cid)
            yield cid
        else:
            todo.append((cid, True))
            fresh = [link for link in dict.fromkeys(links(cid)) if link not in done]
            todo.extend((link, False) for link in reversed(fresh))
