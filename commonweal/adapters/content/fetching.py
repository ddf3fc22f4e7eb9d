"""Fetching content from several untrusted gateways into a store, and pushing it to one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import httpx
import structlog
from tenacity import (
    Retrying,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

from commonweal.adapters.content.car import read_car, stream_car
from commonweal.adapters.content.dags import list_held, walk_up
from commonweal.adapters.content.store import (
    MAX_BLOCK_BYTES,
    ContentCorrupt,
    ContentNotFound,
    ContentStore,
    ContentTooLarge,
    ContentUnreachable,
    StoreFull,
)
from commonweal.adapters.content.unixfs import MAX_NODE_BYTES, Part, list_leaves
from commonweal.adapters.http import open_client, request, within
from commonweal.coordinator_errors import build_error
from commonweal.errors import CommonwealError, Unavailable
from commonweal.protocol.cids import Cid, is_block_of, parse_cid
from commonweal.protocol.manifests import (
    MAX_MANIFEST_BYTES,
    Manifest,
    decode_manifest,
    manifest_cid,
)
from commonweal.protocol.types import Digest

log = structlog.get_logger(__name__)

_RAW, _CAR = "application/vnd.ipld.raw", "application/vnd.ipld.car"
_ONE, _HELD = "format=raw", "format=car&dag-scope=held"
_SMALL_BYTES = 2 * 2**20  # above, blocks come side by side and from several sources
_TOGETHER, _TOGETHER_BYTES = 32, 16 * 2**20  # roots of one exchange, and what they may bring
_CAR_EXTRA_BYTES = 16 * 2**10  # for CIDs, lengths and the header
_REST_SECONDS, _LONGEST_REST = 30.0, 600.0
_ANSWER_BYTES = 64 * 2**10  # of an upload


class Authorise(Protocol):
    """See adapters.sign_in.SignIn."""

    def headers(self, base: str) -> dict[str, str]: ...

    def forget(self, base: str) -> None: ...


class SourceStalled(ContentUnreachable):
    """Asked again at once it would stall again, at the cost of whoever waits."""


class ContentFetcher:
    """Safe to share between threads. Sources are base URLs of Trustless Gateways, best first.

    Nothing fetched is pinned: whoever wants to keep it pins it.
    """

    def __init__(
        self,
        store: ContentStore,
        sources: Callable[[], Sequence[str]],
        *,
        client: httpx.Client | None = None,
        authorise: Authorise | None = None,
        block_seconds: float = 30.0,
        attempts: int = 3,
        threads: int = 4,
    ) -> None:
        """`block_seconds` bounds one block from one source, however slowly it drips.

        `authorise` is asked for the headers that let this account write.
        """
        self._store = store
        self._sources = sources
        self._client = client or open_client()
        self._authorise = authorise
        self._block_seconds = block_seconds
        self._attempts = attempts
        self._threads = threads
        self._resting: dict[str, float] = {}  # source: until when it is asked last
        self._failures: dict[str, int] = {}  # in a row, by source

    def fetch(self, cid: str, *, max_bytes: int) -> bytes:
        """A whole file (or one dag-cbor block): from the store, else from any source that has it.

        Blocks that are in the store are not fetched again, so a fetch that broke off resumes.
        Raises ContentNotFound (no source gave it), ContentTooLarge, ContentCorrupt, StoreFull.
        """
        try:
            return self._store.get(cid, max_bytes=max_bytes)
        except (ContentNotFound, ContentCorrupt):
            self._complete(parse_cid(cid), max_bytes)
            return self._store.get(cid, max_bytes=max_bytes)

    def _complete(self, root: Cid, max_bytes: int) -> None:
        attempt = _Fetch(self._store, self._download, self._order_sources())
        if root.codec != "dag-pb":
            attempt.store(root, min(max_bytes, MAX_BLOCK_BYTES))
            return
        with ThreadPoolExecutor(self._threads, thread_name_prefix="fetch") as pool:

            def read_nodes(cids: Sequence[Cid]) -> dict[Cid, bytes]:
                return dict(zip(cids, pool.map(attempt.read_node, cids), strict=True))

            leaves = list_leaves(root, read_nodes, max_bytes)
            list(pool.map(attempt.store_leaf, dict.fromkeys(leaves)))

    def fetch_held(self, cid: str, *, max_bytes: int) -> None:
        """What a pin of `cid` holds, in one exchange, if it is small and the first source gives it.

        A shortcut that never fails: `fetch` gets block by block what this did not bring.
        """
        self.fetch_held_together([cid], max_bytes=max_bytes)

    def fetch_held_together(self, cids: Sequence[str], *, max_bytes: int) -> None:
        """`fetch_held` of several, each of at most `max_bytes`, in as few exchanges as can be."""
        sources = self._order_sources()
        if max_bytes > _SMALL_BYTES or not sources:
            return
        lacking = [parse_cid(cid) for cid in cids if not self._store.has(cid)]
        size = min(_TOGETHER, _TOGETHER_BYTES // max_bytes)
        for start in range(0, len(lacking), size):
            self._try_held(lacking[start : start + size], sources[0], max_bytes)

    def _try_held(self, roots: Sequence[Cid], source: str, max_bytes: int) -> None:
        try:
            self._store_held(roots, source, max_bytes)
        except SourceStalled:
            self._rest(source)
        except CommonwealError as error:
            log.debug("not to be had in one", cid=str(roots[0]), source=source, code=error.code)

    def _store_held(self, roots: Sequence[Cid], source: str, max_bytes: int) -> None:
        limit = len(roots) * (max_bytes + _CAR_EXTRA_BYTES)
        form = _HELD + "".join(f"&also={root}" for root in roots[1:])
        wanted = set(roots)
        for cid, block in read_car(self._receive(roots[0], source, form, limit)):
            if cid not in wanted or not is_block_of(cid, block):
                raise ContentCorrupt(f"{source} gave what was not asked for", source=source)
            wanted.update(list_held(cid, block))
            self._store.put_block(block, cid.codec, durable=False)

    def _order_sources(self) -> tuple[str, ...]:
        now = time.monotonic()
        sources = dict.fromkeys(source.rstrip("/") for source in self._sources())
        return tuple(sorted(sources, key=lambda source: self._resting.get(source, now) > now))

    def _download(self, cid: Cid, source: str, limit: int) -> bytes:
        retrying = Retrying(
            stop=stop_after_attempt(self._attempts),
            wait=wait_exponential_jitter(multiplier=0.1, max=2.0, jitter=0.1),
            retry=retry_if_exception(_is_worth_a_retry),
            reraise=True,
        )
        try:
            block = retrying(self._download_once, cid, source, limit)
        except (ContentUnreachable, ContentCorrupt):
            self._rest(source)
            raise
        self._failures.pop(source, None)
        return block

    def _rest(self, source: str) -> None:
        failures = self._failures[source] = self._failures.get(source, 0) + 1
        rest = min(_REST_SECONDS * 2.0 ** (failures - 1), _LONGEST_REST)
        self._resting[source] = time.monotonic() + rest

    def _download_once(self, cid: Cid, source: str, limit: int) -> bytes:
        block = self._receive(cid, source, _ONE, limit)
        if not is_block_of(cid, block):
            raise ContentCorrupt(
                f"{source} gave other bytes for {cid}",
                cid=str(cid),
                source=source,
                size=len(block),
            )
        return block

    def _receive(self, cid: Cid, source: str, form: str, limit: int) -> bytes:
        url = f"{source}/ipfs/{cid}?{form}"
        # No compression: a few bytes must not unpack to many.
        headers = {"Accept": _RAW if form == _ONE else _CAR, "Accept-Encoding": "identity"}
        try:
            with (
                within(self._block_seconds),
                self._client.stream("GET", url, headers=headers) as response,
            ):
                _check_status(response, cid, source)
                return self._read_bounded(response, cid, source, limit)
        except httpx.TimeoutException as error:
            raise self._stalled(cid, source) from error
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise ContentUnreachable(
                f"{source} did not give {cid}", cid=str(cid), source=source, cause=str(error)
            ) from error

    def _read_bounded(self, response: httpx.Response, cid: Cid, source: str, limit: int) -> bytes:
        deadline = time.monotonic() + self._block_seconds
        block = bytearray()
        # As it arrives: a chunk size would wait for that much, and a drip would never be noticed.
        for chunk in response.iter_raw():
            block += chunk
            if len(block) > limit:
                raise ContentTooLarge(
                    f"{source} gave more than {limit} bytes for {cid}",
                    cid=str(cid),
                    source=source,
                    limit=limit,
                )
            if time.monotonic() > deadline:
                raise self._stalled(cid, source)
        return bytes(block)

    def _stalled(self, cid: Cid, source: str) -> SourceStalled:
        message = f"{source} was too slow with {cid}"
        return SourceStalled(message, cid=str(cid), source=source, seconds=self._block_seconds)

    def fetch_manifest(self, digest: Digest) -> Manifest:
        """Raises InvalidManifest too."""
        return decode_manifest(self.fetch(manifest_cid(digest), max_bytes=MAX_MANIFEST_BYTES))

    def push(self, cid: str, to: str, *, is_new: bool = False) -> int:
        """Uploads what a pin of `cid` holds, leaves first. Returns how many blocks were lacking.

        `is_new`: nobody can have it yet, so nobody is asked.

        Raises StoreFull (the other's), Unavailable, ContentNotFound (this store lacks a block),
        CoordinatorError (what the other says instead of taking it).
        """

        def links(node: Cid) -> list[Cid]:
            return list_held(node, self._store.get_block(str(node)))

        base = to.rstrip("/")
        blocks = list(walk_up(parse_cid(cid), links))
        if is_new and self._push_together(cid, base):
            return len(blocks)
        return sum(self._push_block(block, base, is_new=is_new) for block in blocks)

    def _push_together(self, cid: str, base: str) -> bool:
        """In one exchange, if it is small and the other takes it so."""
        car = bytearray()
        for frame in stream_car(self._store, parse_cid(cid), list_held):
            car += frame
            if len(car) > MAX_BLOCK_BYTES:
                return False
        answer = self._put(f"/v1/blocks/{cid}", base, bytes(car), _CAR)
        return answer.status_code in (200, 201)

    def _push_block(self, cid: Cid, base: str, *, is_new: bool) -> bool:
        # Manifests are smaller than the question whether they are there already.
        if cid.codec != "dag-cbor" and not is_new:
            known = self._send("HEAD", f"{base}/ipfs/{cid}?format=raw", None)
            if known.status_code == 200:
                return False
        block = self._store.get_block(str(cid))
        answer = self._put(f"/v1/blocks/{cid}", base, block)
        if answer.status_code == 507:
            raise StoreFull(f"{base} has no room for {cid}", need=len(block), target=base)
        if answer.status_code not in (200, 201):
            raise build_error(answer)
        return answer.status_code == 201

    def _put(self, path: str, base: str, body: bytes, form: str = _RAW) -> httpx.Response:
        """Signed in, if there is a key for it; a second time if the session is not taken."""
        kind = {"Content-Type": form}
        if self._authorise is None:
            return self._send("PUT", base + path, body, kind)
        answer = self._send("PUT", base + path, body, kind | self._authorise.headers(base))
        if answer.status_code != httpx.codes.UNAUTHORIZED:
            return answer
        self._authorise.forget(base)
        return self._send("PUT", base + path, body, kind | self._authorise.headers(base))

    def _send(
        self, method: str, url: str, body: bytes | None, extra: dict[str, str] | None = None
    ) -> httpx.Response:
        retrying = Retrying(
            stop=stop_after_attempt(self._attempts),
            wait=wait_exponential_jitter(multiplier=0.1, max=2.0, jitter=0.1),
            retry=retry_if_exception_type((httpx.NetworkError, httpx.ProtocolError)),
            reraise=True,
        )
        headers = {"Accept": _RAW, **(extra or {})}
        try:
            return retrying(
                request,
                self._client,
                method,
                url,
                seconds=self._block_seconds,
                most_bytes=_ANSWER_BYTES,
                content=body,
                headers=headers,
            )
        except httpx.HTTPError as error:
            raise Unavailable("The peer does not answer", target=url, cause=str(error)) from error

    def close(self) -> None:
        self._client.close()


class _Fetch:
    """One fetch: which sources have shown themselves to be bad, shared by its threads."""

    def __init__(
        self,
        store: ContentStore,
        download: Callable[[Cid, str, int], bytes],
        sources: Sequence[str],
    ) -> None:
        self._store = store
        self._download = download
        self._sources = sources
        self._bad: dict[str, str] = {}  # source: the error's code

    def read_node(self, cid: Cid) -> bytes:
        try:
            return self._store.get_block(str(cid), max_bytes=MAX_NODE_BYTES)
        except (ContentNotFound, ContentCorrupt):
            return self.store(cid, MAX_NODE_BYTES)

    def store_leaf(self, leaf: Part) -> None:
        if not self._store.has(str(leaf.cid)):
            self.store(leaf.cid, MAX_BLOCK_BYTES if leaf.size is None else leaf.size)

    def store(self, cid: Cid, limit: int) -> bytes:
        block = self._find(cid, limit)
        self._store.put_block(block, cid.codec, durable=False)
        return block

    def _find(self, cid: Cid, limit: int) -> bytes:
        refusals: dict[str, CommonwealError] = {}
        for source in self._sources:
            if source in self._bad:
                continue
            try:
                return self._download(cid, source, limit)
            except ContentNotFound as error:
                refusals[source] = error
            except (ContentCorrupt, ContentTooLarge, ContentUnreachable) as error:
                refusals[source] = error
                self._bad[source] = error.code
                log.warning("source skipped", source=source, code=error.code, cid=str(cid))
        raise self._explain(cid, limit, refusals)

    def _explain(
        self, cid: Cid, limit: int, refusals: dict[str, CommonwealError]
    ) -> CommonwealError:
        codes = self._bad | {source: error.code for source, error in refusals.items()}
        if refusals and all(isinstance(error, ContentTooLarge) for error in refusals.values()):
            return ContentTooLarge(f"{cid} has more than {limit} bytes", cid=str(cid), limit=limit)
        return ContentNotFound(
            f"None of {len(self._sources)} sources gave {cid}",
            cid=str(cid),
            sources=len(self._sources),
            refusals=codes,
        )


def _is_worth_a_retry(error: BaseException) -> bool:
    return isinstance(error, ContentUnreachable) and not isinstance(error, SourceStalled)


def _check_status(response: httpx.Response, cid: Cid, source: str) -> None:
    if response.status_code in (404, 410):
        raise ContentNotFound(f"{source} has no {cid}", cid=str(cid), source=source)
    if response.status_code != 200:
        raise ContentUnreachable(
            f"{source} answered {response.status_code} for {cid}",
            cid=str(cid),
            source=source,
            status=response.status_code,
        )
