"""A Kubo daemon as content store, through ipfshttpclient.

Only block/* and pin/* are called, always by POST and offline: a store answers for what it holds.
Files are built here, so their CIDs do not depend on the daemon's version or its import settings.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

import ipfshttpclient  # type: ignore[import-untyped]
import requests
from ipfshttpclient.exceptions import (  # type: ignore[import-untyped]
    CommunicationError,
    ErrorResponse,
)
from ipfshttpclient.http_requests import ClientSync  # type: ignore[import-untyped]

from commonweal.adapters.content.dags import list_held, walk
from commonweal.adapters.content.store import (
    MAX_BLOCK_BYTES,
    ContentCorrupt,
    ContentNotFound,
    ContentTooLarge,
    StoreFull,
    StoreUnavailable,
    check_block_size,
)
from commonweal.adapters.content.unixfs import build_file, read_file
from commonweal.errors import InvalidInput
from commonweal.protocol.cids import Cid, Codec, InvalidCid, compute_cid, is_block_of, parse_cid

_BASE = "api/v0"
_NOT_PINNED = "not pinned"
_FULL = ("no space left", "maximum storage limit")
_MISSING = ("not found", "could not find")


class KuboStore:
    def __init__(self, api_url: str, *, timeout: float = 60.0) -> None:
        """`api_url` is a multiaddress (/ip4/127.0.0.1/tcp/5001) or http://host:port."""
        address = _as_multiaddress(api_url)
        # connect() would refuse every modern daemon by its version number.
        self._api = ipfshttpclient.Client(address, _BASE, timeout=timeout)
        self._api._client = _Http(address, _BASE, offline=True, timeout=timeout)

    def put(self, data: bytes | BinaryIO) -> str:
        root = build_file(data, self._put)
        self._pin(root, recursive=True)
        return str(root)

    def put_block(self, block: bytes, codec: Codec = "dag-cbor", *, durable: bool = True) -> str:
        """The daemon's own setting says how durable everything is."""
        check_block_size(block)
        cid = compute_cid(block, codec)
        self._put(cid, block)
        return str(cid)

    def _put(self, cid: Cid, block: bytes) -> None:
        options = {"cid-codec": cid.codec, "mhtype": "sha2-256", "pin": "false"}
        answer = _ask(cid, self._api.block.put, BytesIO(block), opts=options)
        if parse_cid(answer["Key"]) != cid:
            raise ContentCorrupt(f"Kubo stored {answer['Key']} for {cid}", cid=str(cid))

    def get(self, cid: str, *, max_bytes: int) -> bytes:
        return read_file(parse_cid(cid), self._read, max_bytes)

    def get_block(self, cid: str, *, max_bytes: int = MAX_BLOCK_BYTES) -> bytes:
        return self._read(parse_cid(cid), max_bytes)

    def _read(self, cid: Cid, limit: int) -> bytes:
        block = _ask(cid, partial(self._read_bounded, cid, limit))
        if not is_block_of(cid, block):
            raise ContentCorrupt(f"Kubo gave other bytes for {cid}", cid=str(cid), size=len(block))
        return bytes(block)

    def _read_bounded(self, cid: Cid, limit: int) -> bytes:
        block = bytearray()
        with self._api.block.get(str(cid), stream=True) as chunks:
            for chunk in chunks:
                block += chunk
                if len(block) > limit:
                    raise ContentTooLarge(
                        f"{cid} has more than {limit} bytes", cid=str(cid), limit=limit
                    )
        return bytes(block)

    def pin(self, cid: str) -> None:
        root = parse_cid(cid)
        for held in walk(root, self._links):
            if not self._has_block(held):
                raise ContentNotFound(f"{held} is not here", cid=str(held), root=str(root))
        if root.codec != "dag-cbor":
            self._pin(root, recursive=True)
            return
        for link in self._links(root):
            self._pin(link, recursive=True)
        self._pin(root, recursive=False)

    def unpin(self, cid: str) -> None:
        """A payload stays pinned while another pinned manifest links to it."""
        root = parse_cid(cid)
        if root.codec != "dag-cbor":
            self._unpin(root)
            return
        if root not in (pins := self._list_manifest_pins()):
            return
        held = set(self._links(root))
        self._unpin(root)
        for other in pins - {root}:
            held -= self._list_known_links(other)
        for link in held:
            self._unpin(link)

    def has(self, cid: str) -> bool:
        try:
            return all(self._has_block(held) for held in walk(parse_cid(cid), self._links))
        except (ContentNotFound, ContentCorrupt):
            return False

    def _links(self, cid: Cid) -> list[Cid]:
        return list_held(cid, self._read(cid, MAX_BLOCK_BYTES))

    def _list_known_links(self, cid: Cid) -> set[Cid]:
        try:
            return set(self._links(cid))
        except (ContentNotFound, ContentCorrupt):
            return set()

    def _has_block(self, cid: Cid) -> bool:
        try:
            _ask(cid, self._api.block.stat, str(cid))
        except ContentNotFound:
            return False
        return True

    def _pin(self, cid: Cid, *, recursive: bool) -> None:
        _ask(cid, self._api.pin.add, str(cid), recursive=recursive)

    def _unpin(self, cid: Cid) -> None:
        try:
            _ask(cid, self._api.pin.rm, str(cid))
        except StoreUnavailable as error:
            if _NOT_PINNED not in str(error.details.get("cause", "")):
                raise

    def _list_manifest_pins(self) -> set[Cid]:
        keys = _ask(None, self._api.pin.ls, type="direct")["Keys"]
        return {pin for pin in map(_parse_if_ours, keys) if pin and pin.codec == "dag-cbor"}


class _Http(ClientSync):  # type: ignore[misc]
    """Without the environment's proxies, and without an argument that urllib3 has deprecated."""

    def _make_session(self) -> requests.Session:
        session: Any = super()._make_session()
        session.trust_env = False
        for adapter in session.adapters.values():
            adapter.poolmanager.connection_pool_kw.pop("strict", None)
        return cast(requests.Session, session)


def _ask(cid: Cid | None, call: Callable[..., Any], *args: object, **options: object) -> Any:
    try:
        return call(*args, **options)
    except ErrorResponse as error:
        raise _translate(cid, str(error.args[0])) from error
    except (CommunicationError, requests.RequestException) as error:
        raise StoreUnavailable("Kubo does not answer", cause=str(error)) from error


def _translate(cid: Cid | None, message: str) -> ContentNotFound | StoreFull | StoreUnavailable:
    lowered = message.lower()
    if any(words in lowered for words in _MISSING):
        return ContentNotFound(f"{cid} is not here", cid=str(cid))
    if any(words in lowered for words in _FULL):
        return StoreFull("Kubo has no room", cause=message)
    return StoreUnavailable("Kubo refused", cause=message)


def _parse_if_ours(text: str) -> Cid | None:
    """The daemon may hold others' pins too, of any kind."""
    try:
        return parse_cid(text)
    except InvalidCid:
        return None


def _as_multiaddress(api_url: str) -> str:
    if api_url.startswith("/"):
        return api_url
    parts = urlsplit(api_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput("A Kubo API is http://host:port or a multiaddress", url=api_url)
    host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    kind = "ip6" if ":" in host else "ip4" if host.replace(".", "").isdigit() else "dns"
    return f"/{kind}/{host}/tcp/{port}/{parts.scheme}"
